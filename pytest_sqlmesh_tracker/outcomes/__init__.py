"""What is known of one model in one invocation: the vocabulary, and plain data."""
