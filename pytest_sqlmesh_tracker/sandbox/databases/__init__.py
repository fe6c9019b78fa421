"""A sandbox's databases, in place of the project's own."""
