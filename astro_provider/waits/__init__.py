"""What is waited for, when a wait is over, and which errors it tolerates: no Airflow, no HTTP library."""
