"""The command line, `sqlmesh-tracker`. Nothing heavy is imported before a command needs it."""

from .commands import main

__all__ = ["main"]
