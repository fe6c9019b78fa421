"""Drawn histories played through Dagster."""
