"""A project in YAML."""
