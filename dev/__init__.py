"""What this repository needs to be worked on: environments, real deployments, the demo."""
