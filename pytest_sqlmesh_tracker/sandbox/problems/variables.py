"""Misspelled variables: a test's variables that the project has only in a similar spelling."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pytest_sqlmesh_tracker.sandbox.options import SandboxError
from pytest_sqlmesh_tracker.suggestions import close_matches, either

_CODE = {".sql", ".py", ".yaml", ".yml", ".j2", ".jinja", ".jinja2", ".toml"}
_READ = re.compile(r"""\bvar\s*\(\s*(?:(['"])(\w+)\1\s*[,)])?""", re.IGNORECASE)
"""How code reads a variable by its name: `@VAR('x')`, `evaluator.var("x")`, `var('x', 1)`."""
_IMPORTED = re.compile(r"^[ \t]*(?:from|import)[ \t]+(\w+)", re.MULTILINE)
_READS_NONE = {"sqlmesh", "sqlglot", "pandas", "numpy", "polars", "pyarrow", "duckdb", "pydantic"}
"""Packages whose code does not read the variables of users."""
_READS_ANY = re.compile(r"\b(\.locals|_variables|__sqlmesh__vars__|vars_by_gateway)\b")
"""How Python code accesses all variables."""


def check_variables(variables: Iterable[str], configs: Iterable[Any], folder: Path) -> None:
    """Reject variables that are spelled almost like one of the project's, and that nothing reads.

    Doubtful cases are accepted: a name that occurs anywhere in the project's code, and every name
    if code computes the names that it reads, or imports code from outside the project.

    Args:
        variables: the names, in lower case.
        configs: the configurations of the project's paths.
        folder: the folder of the project's files.

    Raises:
        SandboxError: a variable is rejected; the message contains the close matches.
    """
    known = {
        name.lower()
        for config in configs
        for own in (config.variables, *(g.variables for g in config.gateways.values()))
        for name in own
    }
    unknown = [name for name in variables if name not in known]
    if not unknown:
        return
    texts = list(_texts(folder))
    own = {entry.stem for entry in folder.rglob("*")} | _READS_NONE | sys.stdlib_module_names
    if any(module not in own for text in texts for module in _IMPORTED.findall(text)):
        return
    reads = [match.group(2) for text in texts for match in _READ.finditer(text)]
    if None in reads or any(_READS_ANY.search(text) for text in texts):
        return
    known.update(name.lower() for name in reads)
    for name in unknown:
        word = re.compile(rf"(?<![a-z0-9_]){re.escape(name)}(?![a-z0-9_])", re.IGNORECASE)
        close = close_matches(name, known)
        if close and not any(word.search(text) for text in texts):
            raise SandboxError(
                f"variables={{{name!r}: ...}}: nothing in the project reads a variable with this "
                f"name; did you mean {either(close)}?"
            )


def _texts(folder: Path) -> Iterator[str]:
    """The project's code, except for `config.py` and the tests, which contain the name."""
    for file in folder.rglob("*"):
        if file.suffix.lower() in _CODE and file.is_file():
            text = file.read_text(encoding="utf-8", errors="replace")
            if not (file.suffix == ".py" and (file.stem == "config" or "pytest" in text)):
                yield text
