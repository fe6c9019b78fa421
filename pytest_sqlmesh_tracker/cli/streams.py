"""The standard streams: who reads them, whether in color, and what happens when nobody does."""

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
    """Standard output and error accept everything that is printed, even if nobody reads it.

    A reader that has seen enough (`| head`) and a stream that is closed (`>&-`) stop no run and
    change no exit code: what is printed is dropped. Names can hold what the encoding does not.

    Yields what returns the error, such as a full disk, for which something else was dropped.
    """
    _open_closed_descriptors()
    out, err = _dependable(sys.stdout, 1), _dependable(sys.stderr, 2)

    def failure() -> OSError | None:
        for stream in (out, err):
            stream.flush()
        files = [getattr(getattr(stream, "buffer", None), "raw", None) for stream in (out, err)]
        return next((f.failure for f in files if isinstance(f, _Dropping) and f.failure), None)

    with redirect_stdout(out), redirect_stderr(err):
        yield failure


def colored(stream: TextIO) -> bool:
    """Whether what is printed to the stream has colors: on terminals, or as variables say.

    `NO_COLOR` and `TERM=dumb` win over `FORCE_COLOR`, as they do in the output of SQLMesh.
    """
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return bool(os.environ.get("FORCE_COLOR")) or stream.isatty()


class _Dropping(FileIO):
    """A file that drops what is written to it, once that has failed."""

    failure: OSError | None = None
    """Why, unless nobody reads it."""

    def write(self, data: Any) -> int:
        try:
            # Another process that shares the stream can have made it non-blocking.
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
    """A descriptor that is closed would be taken by the next file that is opened: a database."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            # It takes the lowest number that is free.
            os.open(os.devnull, os.O_RDWR)


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
