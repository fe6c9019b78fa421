"""Whether what is released can be installed and used by strangers."""
