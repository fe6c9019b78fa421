"""What projects and histories are drawn."""
