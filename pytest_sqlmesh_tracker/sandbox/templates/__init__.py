"""Projects that are loaded and planned once, and copied for each test."""
