"""Errors of projects, and of invocations that the tracker ends; importable without SQLMesh."""

from __future__ import annotations


class ProjectError(Exception):
    """A SQLMesh project can't be loaded or does not answer; the message is one line."""


class SelectorError(ValueError):
    """SQLMesh has no selector that matches exactly one model."""


class Stopped:
    """A mixin for exceptions by which the tracker ends an invocation; users see the message."""


class BusyError(ProjectError):
    """Another process has locked the project's database, so it can't be read."""
