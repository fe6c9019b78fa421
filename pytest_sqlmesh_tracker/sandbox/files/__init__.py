"""The files of a project: finding, loading and copying them."""
