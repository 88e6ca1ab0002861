"""Operators that trigger dag runs, pause and unpause dags, and call any endpoint of a target Deployment."""
