"""What a history shows of models over time."""
