"""The command line, `sqlmesh-tracker`. Nothing but click is imported before a command needs it."""

from .commands import main

__all__ = ["main"]
