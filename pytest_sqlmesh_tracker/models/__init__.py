"""How models are named, matched and defined."""
