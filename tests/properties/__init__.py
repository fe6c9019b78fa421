"""Reports of drawn projects, held against witnesses that do not listen to the console."""
