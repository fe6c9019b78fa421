"""Why a sandbox could not be made, and how to fix it."""
