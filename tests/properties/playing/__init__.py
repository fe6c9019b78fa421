"""Drawn histories played on real SQLMesh, with witnesses."""
