"""Triggers: what waiting operators and sensors defer to."""
