"""
The Airflow REST API as data and flows: requests, responses, and everything that is decided between them.

Nothing in this package does I/O, and nothing imports Airflow or an HTTP library. The hooks send the requests.
"""
