"""The HTML page: its templates, and the modules that they need."""
