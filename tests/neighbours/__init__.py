"""Sessions alongside other pytest plugins and tools, which do not use this package."""
