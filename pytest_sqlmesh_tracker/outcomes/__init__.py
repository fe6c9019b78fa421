"""What is known about one model in one invocation: the vocabulary and plain data."""
