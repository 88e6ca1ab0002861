"""What operators, sensors and triggers share when a task runs."""
