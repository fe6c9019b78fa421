"""Templates that outlive the session."""
