"""What operators share when a task runs."""
