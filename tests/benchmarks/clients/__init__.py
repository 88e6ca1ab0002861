"""Programs that a measurement runs as separate processes, so that their cost can be measured."""
