"""From the recording of an invocation to its report."""
