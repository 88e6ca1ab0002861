"""Operators: trigger dag runs, pause and unpause dags, ask any endpoint of a target Deployment."""
