"""What the page consists of: its templates, and what they need that knows no report."""
