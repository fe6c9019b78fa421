"""The databases of a sandbox, which replace the project's own."""
