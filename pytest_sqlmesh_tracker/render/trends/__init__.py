"""How models fared over time, as text and Markdown."""
