"""Questions about an environment that SQLMesh answers in a process of its own.

Who asks neither loads SQLMesh nor keeps the lock of a DuckDB file: whoever runs the environment is
kept waiting for as long as the answer takes, and not longer.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from importlib import import_module
from typing import Any

from pytest_sqlmesh_tracker.tracking.errors.types import BusyError, ProjectError
from pytest_sqlmesh_tracker.wording.formats import one_line
from pytest_sqlmesh_tracker.wording.printable import without_escape_codes

_QUESTIONS = {"due": ".due", "loaded": ".loaded", "nodes": ".project_files"}
"""A question is a function that takes a context and keywords, and returns what JSON can say; the
module that has it."""
_BUSY = "Could not set lock on file"
"""What DuckDB says of a file that another process has."""
_MAIN = f"""
import sys
if sys.path[0] == "":
    sys.path.append(sys.path.pop(0))
from {__name__} import main
main()
"""
"""Python looks first into the current folder, where a `sqlmesh` or a `json.py` can be."""


def answer(context: Any, question: str, arguments: Mapping[str, Any]) -> Any:
    """What SQLMesh answers in this process."""
    function = getattr(import_module(_QUESTIONS[question], __package__), question)
    return function(context, **arguments)


def answer_of_process(
    paths: Sequence[str],
    settings: Mapping[str, Any],
    question: str,
    arguments: Mapping[str, Any],
    *,
    timeout: float,
    folder: str | None = None,
    print_output: Callable[[str], object] = lambda _: None,
) -> Any:
    """What SQLMesh answers in a process that opens the project, and ends.

    Args:
        paths: the project's folders.
        settings: `gateway`, `config` and `dotenv`, as `open_context` has them.
        timeout: seconds after which the process is ended, with those that it has started.
        folder: its current folder, if not that of this process.
        print_output: is called with what SQLMesh and the project's code printed.

    Raises:
        BusyError: another process has the database.
        ProjectError: the project can't be opened, or does not answer; one line says why.
    """
    asked = {"paths": paths, "settings": settings, "question": question, "arguments": arguments}
    names = ", ".join(paths)
    process = subprocess.Popen(
        [sys.executable, "-c", _MAIN],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=folder,
        text=True,
        # What the project's code prints can be anything; the answer itself is ASCII.
        errors="backslashreplace",
        # SQLMesh loads models in processes of its own, which end with this one.
        start_new_session=True,
    )
    try:
        output, errors = process.communicate(json.dumps(asked), timeout)
    except BaseException as error:
        _kill(process)
        if not isinstance(error, subprocess.TimeoutExpired):
            raise
        said = f"the SQLMesh project {names} did not answer within {timeout:g} s"
        raise ProjectError(said) from None
    if errors:
        print_output(errors)
    try:
        reply = json.loads(output)
    except ValueError:
        printed = one_line(without_escape_codes(errors[-600:]), 600)
        said = printed or f"its process ended with {process.returncode}"
        raise ProjectError(f"the SQLMesh project {names} did not answer: {said}") from None
    if "answer" in reply:
        return reply["answer"]
    raise (BusyError if reply["busy"] else ProjectError)(reply["error"])


def _kill(process: subprocess.Popen[str]) -> None:
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    # Nothing more is read of its pipes.
    with process:
        pass


def _reply(asked: Mapping[str, Any]) -> dict[str, Any]:
    from pytest_sqlmesh_tracker.tracking.project.opening import in_one_line, open_context

    # In SQLMesh's first versions, the state has of signals only from where they are imported.
    sys.path[:0] = asked["paths"]
    try:
        # What was planned is in the state, with the code of its models and signals.
        context = open_context(asked["paths"], **asked["settings"], load=False)
        with closing(context), in_one_line(asked["paths"], "does not answer"):
            return {"answer": answer(context, asked["question"], asked["arguments"])}
    except ProjectError as error:
        return {"error": str(error), "busy": _BUSY in str(error)}


def main() -> None:
    """Answer the question on standard input."""
    replies = os.fdopen(os.dup(1), "w")
    # SQLMesh, and the code of signals, print what they like.
    os.dup2(2, 1)
    with replies:
        json.dump(_reply(json.load(sys.stdin)), replies)
