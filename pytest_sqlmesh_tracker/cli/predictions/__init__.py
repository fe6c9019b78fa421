"""Commands about runs that have not taken place."""
