"""What would have happened otherwise, tried on copies of the project."""
