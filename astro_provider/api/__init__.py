"""
The Airflow REST API as data: what to ask, what comes back, and how a question becomes an answer.

Nothing in here does I/O or knows of Airflow: the hooks carry what this package decides.
"""
