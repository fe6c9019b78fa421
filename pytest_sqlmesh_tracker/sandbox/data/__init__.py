"""The rows of a sandbox: what a test reads, compares, inserts and puts in place of models."""
