"""What is wrong with a project, for those who ask about it without loading SQLMesh; and its end."""

from __future__ import annotations


class ProjectError(Exception):
    """A SQLMesh project can't be loaded, or does not answer. The message says in one line why."""


class SelectorError(ValueError):
    """SQLMesh has no selector that matches one model and no other."""


class Stopped:
    """Of exceptions by which the tracker ends an invocation: the message says it all to users."""


class BusyError(ProjectError):
    """Another process has the project's database, which then lets nobody else read it."""
