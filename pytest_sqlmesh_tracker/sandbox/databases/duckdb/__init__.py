"""DuckDB in a sandbox: its own files, and no statements that write to others."""
