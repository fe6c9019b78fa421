"""The secrets in a project's configuration and in environment variables.

Drivers put them into error messages, which reports contain.
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
"""The depth to which nested settings are read."""


def redacted(text: str, context: Any = None) -> str:
    """The text of an error without passwords and tokens; it never raises.

    Args:
        context: the SQLMesh context that the error came from, if it was created.
    """
    return redaction.redacted(text, secrets_of(context))


def secrets_of(context: Any) -> Secrets | None:
    """The secrets in the environment and in the context's configuration; it never raises.

    None if they can't be determined; the error is logged.
    """
    try:
        configs: Mapping[Any, Any] = getattr(context, "configs", {})
        return Secrets.among([*_environment(), *_settings("", list(configs.values()))])
    except Exception:
        logger.exception("pytest-sqlmesh-tracker failed to determine which values are secret")
        return None


def _environment() -> Iterator[tuple[str, str]]:
    # SQLMesh adds the variables of a project's `.env` to the environment.
    return ((name, value) for name, value in os.environ.items() if not _is_file(value))


def _settings(name: str, value: Any, depth: int = _DEPTH) -> Iterator[tuple[str, str]]:
    """Every string and integer in a configuration, with the name of its field."""
    if isinstance(value, BaseModel):
        # Without computed fields.
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
    """Whether the value is an existing path, which is useful in a message."""
    try:
        return os.sep in value and Path(value).exists()
    except (OSError, ValueError):
        # Too long for a path, or with a null character.
        return False
