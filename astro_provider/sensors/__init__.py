"""Sensors: wait for dag runs and tasks of a target Deployment."""
