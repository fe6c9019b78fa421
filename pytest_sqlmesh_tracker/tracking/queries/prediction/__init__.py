"""Predicting the report of a run of an environment now."""
