"""What the tracker's source imports from SQLMesh, and how it calls it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pytest_sqlmesh_tracker import tracking

_ROOT = Path(tracking.__file__).parent
_SQLMESH = "sqlmesh."


@dataclass(frozen=True)
class Call:
    """A place in the source at which something of SQLMesh is imported or called."""

    path: str
    """`module:name.name`, below `sqlmesh`."""
    concern: str
    """What the surrounding code is for, and where it is."""
    positional: int | None = None
    """The number of positional arguments; None if it is not called, or if the number is unknown."""
    keywords: tuple[str, ...] = ()


def calls_of_sqlmesh() -> Iterator[Call]:
    """The imports and calls in all modules of `tracking`, in source order."""
    for file in sorted(_ROOT.rglob("*.py")):
        module = _parsed(file.read_text(encoding="utf-8"))
        yield from _Reader(file.relative_to(_ROOT.parent).as_posix(), module).calls()


class _Reader:
    """Reads one module."""

    def __init__(self, file: str, module: ast.Module) -> None:
        self._file = file
        self._module = module
        self._paths: dict[str, str] = {}
        for statement in ast.walk(module):
            if isinstance(statement, ast.ImportFrom):
                self._paths.update(_imported(statement))

    def calls(self) -> Iterator[Call]:
        """The imports and calls in the module, each with the code around it."""
        yield from self._in(self._module, [])

    def _in(self, node: ast.AST, around: list[ast.AST]) -> Iterator[Call]:
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            around = [*around, node]
        if isinstance(node, ast.ImportFrom):
            for path in _imported(node).values():
                yield Call(path, self._concern(around))
        if isinstance(node, ast.Call) and (called := self._path(node.func)):
            starred = any(isinstance(each, ast.Starred) for each in node.args)
            yield Call(
                called,
                self._concern(around),
                # The source does not show how many `*arguments` there are.
                positional=None if starred else len(node.args),
                keywords=tuple(keyword.arg for keyword in node.keywords if keyword.arg),
            )
        for child in ast.iter_child_nodes(node):
            yield from self._in(child, around)

    def _path(self, function: ast.expr) -> str | None:
        """The path of a function called by an imported name, or as a method of a class."""
        if isinstance(function, ast.Attribute):
            owner = self._path(function.value)
            return f"{owner}.{function.attr}" if owner else None
        return self._paths.get(function.id) if isinstance(function, ast.Name) else None

    def _concern(self, around: list[ast.AST]) -> str:
        """The innermost docstring's summary, and the function that the call is in."""
        docstrings = [
            ast.get_docstring(node)
            for node in around
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        ]
        summary = next(filter(None, reversed(docstrings)), "").partition("\n\n")[0]
        names = [n.name for n in around if isinstance(n, ast.ClassDef | ast.FunctionDef)]
        place = f"{'.'.join(names)} in {self._file}" if names else self._file
        return f"{' '.join(summary.split()).rstrip('.')} ({place})"


def _imported(statement: ast.ImportFrom) -> dict[str, str]:
    """Name in the module → its path in SQLMesh."""
    module = statement.module or ""
    if not module.startswith(_SQLMESH):
        return {}
    below = module.removeprefix(_SQLMESH)
    return {alias.asname or alias.name: f"{below}:{alias.name}" for alias in statement.names}


def _parsed(source: str) -> ast.Module:
    try:
        return ast.parse(source)
    except SystemError:
        # CPython 3.11 and 3.12 can raise it where another thread parses at the same moment.
        return ast.parse(source)
