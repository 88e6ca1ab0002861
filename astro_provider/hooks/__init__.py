"""Hooks: a Deployment's REST API from Python."""
