"""Sessions beside other pytest plugins and tools, which use nothing of this package."""
