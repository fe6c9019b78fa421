"""From the recording of an invocation to its report, with the reason for each status."""
