"""What reasons and causes must hold."""
