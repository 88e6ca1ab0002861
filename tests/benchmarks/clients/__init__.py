"""Programs that a measurement starts in a process of their own, so that it can tell what that process costs."""
