"""Times, outcomes, causes and invocations in words."""
