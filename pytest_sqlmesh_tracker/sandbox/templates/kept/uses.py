"""How the templates of a session were made, as plain data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TemplateUse:
    """How a template was made.

    Attributes:
        project: the project's folder.
        planned: when a reused template was planned, in seconds since the epoch; None if it was
            planned now.
        not_kept: why it is not kept, in words that follow "not kept: "; None if it is.
        not_restored: why a kept template that is like it could not be reused; None if there was
            none, or it was.
    """

    project: str
    planned: float | None = None
    not_kept: str | None = None
    not_restored: str | None = None
