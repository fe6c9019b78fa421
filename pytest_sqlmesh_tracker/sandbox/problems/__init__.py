"""Why a sandbox could not be made, and what helps."""
