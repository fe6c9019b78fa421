"""Which models the coming runs of an environment will evaluate."""
