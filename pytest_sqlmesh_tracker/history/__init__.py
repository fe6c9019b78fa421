"""Reports over time: a history in a DuckDB file, to which any number of processes append."""
