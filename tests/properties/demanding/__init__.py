"""What must hold of each report of a played history."""
