"""What is known of an invocation, its files, and what tests and people ask of it."""
