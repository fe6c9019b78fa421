"""What was evaluated: each model's batches, and the causes of its intervals."""
