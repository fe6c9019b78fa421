"""What was evaluated: the batches of each model, and the causes of its intervals."""
