"""Reports on invocations, report files, and the assertions and comparisons made with them."""
