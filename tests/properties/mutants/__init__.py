"""Faulty trackers, which the property tests must find out."""
