"""What must hold of the events of each Dagster run."""
