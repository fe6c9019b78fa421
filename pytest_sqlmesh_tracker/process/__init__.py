"""The state of this process: its clock, its sleeps, its environment and its modules."""
