"""Forecasts as text, Markdown and a calendar in HTML."""
