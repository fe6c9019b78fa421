"""The standard streams: whether they have colors, and what happens if they are closed."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import BufferedWriter, FileIO, TextIOWrapper
from select import select
from typing import Any, TextIO


@contextmanager
def dependable() -> Iterator[Callable[[], OSError | None]]:
    """Make standard output and error accept everything that is printed, even if nobody reads it.

    A reader that exits early (`| head`) or a closed stream (`>&-`) neither stops a run nor changes
    its exit code: the output is dropped. Names may contain characters that the encoding lacks.

    Yields a function that returns any other error, such as a full disk, that caused dropping.
    """
    _open_closed_descriptors()
    out, err = _dependable(sys.stdout, 1), _dependable(sys.stderr, 2)

    def failure() -> OSError | None:
        for stream in (out, err):
            stream.flush()
        files = [getattr(getattr(stream, "buffer", None), "raw", None) for stream in (out, err)]
        return next((f.failure for f in files if isinstance(f, _Dropping) and f.failure), None)

    with redirect_stdout(out), redirect_stderr(err), _input_if_closed():
        yield failure


def colored(stream: TextIO) -> bool:
    """Whether text on the stream has colors: on terminals, or as environment variables specify.

    `NO_COLOR` and `TERM=dumb` take precedence over `FORCE_COLOR`, as in the output of SQLMesh.
    """
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return bool(os.environ.get("FORCE_COLOR")) or stream.isatty()


@contextmanager
def descriptors_redirected(redirected: bool = True) -> Iterator[None]:
    """Redirect to standard error what other programs and the project's code print past Python."""
    if not redirected:
        yield
        return
    sys.stdout.flush()
    saved = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        os.dup2(saved, 1)
        os.close(saved)


class _Dropping(FileIO):
    """A file that drops everything written to it after a write has failed."""

    failure: OSError | None = None
    """The error of the failed write, unless it only means that nobody reads the stream."""

    def write(self, data: Any) -> int:
        try:
            # Another process that shares the stream may have made it non-blocking.
            while (written := super().write(data)) is None:
                select([], [self], [])
            return written
        except OSError as error:
            if not isinstance(error, BrokenPipeError):
                self.failure = error
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            return len(data)


def _open_closed_descriptors() -> None:
    """Open closed descriptors: the next file to be opened, such as a database, would take them."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            # This takes the lowest free number.
            os.open(os.devnull, os.O_RDWR)


@contextmanager
def _input_if_closed() -> Iterator[None]:
    """Let a closed standard input be empty: early versions of SQLMesh need one to be imported."""
    if sys.stdin is not None:
        yield
        return
    with open(0, encoding="utf-8", closefd=False) as sys.stdin:
        try:
            yield
        finally:
            sys.stdin = None


def _dependable(stream: TextIO | None, descriptor: int) -> TextIO:
    if stream is None:
        return open(descriptor, "w", encoding="utf-8", closefd=False)
    if not isinstance(stream, TextIOWrapper):
        return stream
    stream.reconfigure(errors="backslashreplace")
    if stream is not (sys.__stdout__, sys.__stderr__)[descriptor - 1] or stream.isatty():
        return stream
    stream.flush()
    return TextIOWrapper(
        BufferedWriter(_Dropping(descriptor, "w", closefd=False)),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering or stream.write_through,
    )
