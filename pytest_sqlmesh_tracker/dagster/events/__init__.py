"""From outcomes to the events of Dagster."""
