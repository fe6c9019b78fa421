"""How Dagster is requested the invocations of a drawn history."""
