"""Which secrets SQLMesh was given: in a project's configuration, and in environment variables.

Drivers put them into the messages of their errors, which come into reports.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr

from . import redaction
from .redaction import Secrets

logger = logging.getLogger("pytest_sqlmesh_tracker")

_DEPTH = 12
"""How far settings are followed into one another."""


def redacted(text: str, context: Any = None) -> str:
    """A text without passwords and tokens, for what is shown of an error; it never raises.

    Args:
        context: the SQLMesh context that the error came from, if it was made at all.
    """
    return redaction.redacted(text, secrets_of(context))


def secrets_of(context: Any) -> Secrets | None:
    """What is secret in the environment, and in the context's configuration; it never raises.

    None, with the error in the log, if that can't be told.
    """
    try:
        configs: Mapping[Any, Any] = getattr(context, "configs", {})
        return Secrets.among([*_environment(), *_settings("", list(configs.values()))])
    except Exception:
        logger.exception("pytest-sqlmesh-tracker failed to find out what is secret")
        return None


def _environment() -> Iterator[tuple[str, str]]:
    # SQLMesh puts a project's `.env` there.
    return ((name, value) for name, value in os.environ.items() if not _is_file(value))


def _settings(name: str, value: Any, depth: int = _DEPTH) -> Iterator[tuple[str, str]]:
    """Every text and number in a configuration, by the name of its field."""
    if isinstance(value, BaseModel):
        # Without what is computed from the fields.
        value = vars(value)
    if isinstance(value, Mapping):
        parts = [(str(key), part) for key, part in value.items()]
    elif isinstance(value, list | tuple | set | frozenset):
        parts = [(name, part) for part in value]
    else:
        if isinstance(value, SecretStr):
            value = value.get_secret_value()
        if isinstance(value, str | int) and not _is_file(str(value)):
            yield name, str(value)
        return
    for key, part in parts if depth else ():
        yield from _settings(key, part, depth - 1)


def _is_file(value: str) -> bool:
    """Whether it is the path of a file: a message that names one is of use."""
    try:
        return os.sep in value and Path(value).exists()
    except (OSError, ValueError):
        # Longer than any path, or with a zero in it.
        return False
