"""Templates that outlive the session, as far as pytest is concerned."""
