"""Turns an exception into words: what failed first, and what it was raised as.

SQLMesh raises its own errors when a project's Python code or a statement raises one. When a
database connection breaks off, the error of the rollback covers the original error. What users
need is behind these, in the chain of `__cause__` and `__context__`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import FrameType
from typing import Literal

from pytest_sqlmesh_tracker.wording.printable import without_escape_codes
from pytest_sqlmesh_tracker.wording.sentences import error_text

from .types import Stopped

Connection = Literal["lost", "gone"] | None
"""What an error shows about the database connection: it broke off, or was already gone."""

_CLEANS_UP = re.compile(r"rollback|close|__a?exit__|clean_?up|dispose|release|reset|abort|teardown")
_CONNECTION_GONE = "InterfaceError"
"""What drivers that follow PEP 249 raise for a closed connection or cursor."""
_SILENT = frozenset({"NodeExecutionFailedError"})
"""SQLMesh's errors that do not explain what failed; their cause does."""
_SILENT_TEXTS = frozenset({"Plan application failed."})


def described(error: BaseException) -> str:
    """Type and message of what failed first; further paragraphs give what it was raised as.

    For the tracker's own exceptions, only the message. The text has no escape codes.
    """
    if isinstance(error, Stopped):
        return str(error)
    first, covering = _uncovered(_of_the_user(error))
    wrapped = error is not first and error not in covering and not _is_silent(error)
    return error_text(
        _typed(first),
        followed_by=map(_typed, covering),
        raised_as=_typed(error) if wrapped else None,
    )


def frames(error: BaseException) -> Iterator[FrameType]:
    """The frames that the exception passed through, from the one that caught it to the origin."""
    traceback = error.__traceback__
    while traceback is not None:
        yield traceback.tb_frame
        traceback = traceback.tb_next


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """The exception and those behind it: its causes, or else what was being handled."""
    visited: set[int] = set()
    while error is not None and id(error) not in visited:
        visited.add(id(error))
        yield error
        error = _behind(error)


def module_of(frame: FrameType) -> str:
    """The name of the module that contains a frame's code."""
    return str(frame.f_globals.get("__name__", ""))


def connection_after(error: BaseException) -> Connection:
    """What the exception shows about the database connection."""
    first, covering = _uncovered(_of_the_user(error))
    if _connection_gone(first):
        return "gone"
    return "lost" if any(map(_connection_gone, covering)) else None


def _typed(error: BaseException) -> str:
    name, text = type(error).__name__, without_escape_codes(str(error)).rstrip()
    # A traceback starts with an indented line.
    joint = ":\n" if text[:1].isspace() else ": "
    return f"{name}{joint}{text}".strip().removesuffix(":")


def _behind(error: BaseException) -> BaseException | None:
    if error.__cause__ is not None:
        return error.__cause__
    return None if error.__suppress_context__ else error.__context__


def _of_the_user(error: BaseException) -> BaseException:
    """The exception that SQLMesh's error quotes, or else the error itself."""
    first = error
    for inner in chain(error):
        if inner is not error and not (_is_silent(first) or _quotes(first, inner)):
            break
        first = inner
        if not _is_sqlmesh(inner):
            return inner
    # SQLMesh's own errors are more informative than the parser errors that they quote.
    return next((one for one in chain(error) if not _is_silent(one)), error)


def _is_sqlmesh(error: BaseException) -> bool:
    return type(error).__module__.partition(".")[0] in ("sqlmesh", "sqlglot")


def _is_silent(error: BaseException) -> bool:
    return _is_sqlmesh(error) and (
        type(error).__name__ in _SILENT or (_text(error) in _SILENT_TEXTS)
    )


def _quotes(error: BaseException, inner: BaseException) -> bool:
    """Whether a line of SQLMesh's error is the inner error's text, with or without its type."""
    line = next(iter(_text(inner).splitlines()), "")
    kind = type(inner)
    # A traceback has the module of types that are not Python's own.
    names = (kind.__name__, f"{kind.__module__}.{kind.__qualname__}")
    quotes = {line, *(f"{name}: {line}".rstrip(": ") for name in names)} - {""}
    return any(quote.strip() in quotes for quote in _text(error).splitlines())


def _text(error: BaseException) -> str:
    return without_escape_codes(str(error)).strip()


def _uncovered(error: BaseException) -> tuple[BaseException, list[BaseException]]:
    """The first error, and the errors raised while cleaning up after it, in order."""
    covering: list[BaseException] = []
    for inner in chain(error):
        if inner is error:
            continue
        if error.__cause__ is not None or not _raised_in_cleaning_up(error, inner):
            break
        covering.insert(0, error)
        error = inner
    return error, covering


def _connection_gone(error: BaseException) -> bool:
    return type(error).__name__ == _CONNECTION_GONE


def _raised_in_cleaning_up(error: BaseException, handled: BaseException) -> bool:
    """Whether the exception came from a rollback or similar cleanup after the handled one.

    Any other exception explains the problem itself: the code that handled the first one raised it
    in its own words, or failed when it tried another way.
    """
    if _connection_gone(error):
        return True
    handler, called = next(frames(handled), None), list(frames(error))
    if handler not in called:
        return False
    return any(_CLEANS_UP.search(f.f_code.co_name) for f in called[called.index(handler) + 1 :])
