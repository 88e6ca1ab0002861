"""Development tools of this repository: Python environments, real Airflow deployments, and the demo."""
