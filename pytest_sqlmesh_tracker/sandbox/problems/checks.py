"""Messages on what SQLMesh checks before it plans, the linter and unit tests, in its own words.

SQLMesh reports only to its console which rule and which test failed; its exceptions omit them.
"""

from __future__ import annotations

from collections.abc import Iterable
from textwrap import dedent
from typing import Any

from rich.console import Console as RichConsole

from pytest_sqlmesh_tracker.wording.formats import listed, quantity
from pytest_sqlmesh_tracker.wording.printable import without_escape_codes

_WIDTH = 100
"""The width of SQLMesh's tables, in characters."""


def linter_message(violations: Iterable[Any]) -> str:
    """The linter's errors: a headline, then the rules that each file violates."""
    errors = [v for v in violations if v.violation_type == "error"]
    by_model: dict[str, list[Any]] = {}
    for error in errors:
        by_model.setdefault(error.model.fqn, []).append(error)
    rules = listed(sorted({error.rule.name for error in errors}))
    first, *others = by_model.values()
    where = f"in {len(by_model)} models" if others else f"in {first[0].model.name}"
    lines = [f"Linter detected errors {where}: {rules}"]
    for _, of_model in sorted(by_model.items()):
        model = of_model[0].model
        lines += ["", f"Linter errors for {model.name}, {model._path}:"]
        lines += [_violation(error) for error in sorted(of_model, key=_place)]
    return "\n".join(lines)


def _place(violation: Any) -> tuple[int, str]:
    place = violation.violation_range
    return (place.start.line if place else -1, violation.rule.name)


def _violation(violation: Any) -> str:
    place = violation.violation_range
    line = f"Line {place.start.line + 1}: " if place else ""
    return f" - {line}{violation.rule.name}: {violation.violation_msg}"


def unit_test_message(result: Any) -> str:
    """The failed unit tests: a headline, then SQLMesh's tables or the error for each test."""
    failures, tables = result.failures, result.failure_tables
    # SQLMesh keeps the tables in a separate list. If a failure has no table, only the texts are
    # certain to belong to each failure.
    paired = len(tables) == len(failures)
    blocks = [
        ("FAIL", test, _rendered(tables[number]) if paired else text)
        for number, (test, text) in enumerate(failures)
    ]
    blocks += [("ERROR", test, text) for test, text in result.errors]
    names = tuple(dict.fromkeys(_name(test) for _, test, _ in blocks))
    lines = [f"{len(names)} of {quantity(result.testsRun, 'unit test')} failed: {listed(names)}"]
    for word, test, text in blocks:
        lines += ["", f"{word}: {_facts(test)}", "", without_escape_codes(text).strip()]
    return "\n".join(lines)


def _rendered(tables: Iterable[Any]) -> str:
    console = RichConsole(width=_WIDTH, color_system=None)
    with console.capture() as capture:
        for table in tables:
            console.print(table)
    lines = (line.rstrip() for line in capture.get().splitlines())
    return dedent("\n".join(lines))


def _name(test: Any) -> str:
    return str(getattr(test, "test_name", test))


def _facts(test: Any) -> str:
    """`test_a of model s.a, tests/test_a.yaml`, with its description on a line below."""
    model, path = getattr(test, "model", None), getattr(test, "path", None)
    of_model = f" of model {model.name}" if model is not None else ""
    line = f"{_name(test)}{of_model}" + (f", {path}" if path else "")
    description = test.shortDescription()
    return f"{line}\n{description}" if description else line
