"""This process: its clock, its modules and what they find there."""
