"""Turns the recording of an invocation into its report, with the reason for each status."""
