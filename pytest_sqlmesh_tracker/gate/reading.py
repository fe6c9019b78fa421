"""Reading the rules of a policy from TOML: a separate file, or `pyproject.toml`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from pytest_sqlmesh_tracker.wording.formats import one_line, short_repr

from .rules import GateRule
from .values import GatePolicyError, check_keys

TABLE = "tool.sqlmesh_tracker.gate"
"""The table of a TOML document that holds the policy."""
_MISSPELT = ("sqlmesh-tracker", "pytest-sqlmesh-tracker", "pytest_sqlmesh_tracker")
_KEYS = tuple(GateRule.model_fields)


def rules_from(tables: object) -> tuple[GateRule, ...]:
    """The rules from a list in which each is a `GateRule` or a table with its fields.

    Raises:
        GatePolicyError: one of them is neither; the message begins with its number, from 1.
    """
    if isinstance(tables, str | Mapping) or not isinstance(tables, Iterable):
        raise GatePolicyError(f"rules must be a list of tables: in TOML, [[{TABLE}.rules]]")
    return tuple(_rule(number, table) for number, table in enumerate(tables, start=1))


def _rule(number: int, table: object) -> GateRule:
    if isinstance(table, GateRule):
        return table
    if not isinstance(table, Mapping):
        raise GatePolicyError(f"rule {number} must be a table, not {short_repr(table)}")
    try:
        check_keys(table, _KEYS)
        if "models" not in table:
            raise GatePolicyError("models is missing: it must be a name, a glob, or a list of them")
        return GateRule(**table)
    except GatePolicyError as error:
        raise GatePolicyError(f"rule {number}: {error}") from None


def rules_in(document: Mapping[str, Any]) -> tuple[GateRule, ...]:
    """The rules of a TOML document that must have some: in `TABLE`, or in `rules` at the top.

    Raises:
        GatePolicyError: there are no rules, or one is not valid.
    """
    gate = gate_table(document)
    if gate is None:
        if document and ("tool" in document or "rules" not in document):
            raise GatePolicyError(f"[[{TABLE}.rules]] is missing")
        gate = document
    check_keys(gate, ["rules"])
    return rules_from(gate.get("rules", ()))


def gate_table(document: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The policy's table in a document such as `pyproject.toml`; None if there is none.

    Raises:
        GatePolicyError: the value is not a table, or its name is misspelled.
    """
    ours = own_table(document)
    return _table(ours, "gate", TABLE) if "gate" in ours else None


def own_table(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """The table `tool.sqlmesh_tracker` of a document such as `pyproject.toml`; empty if there is
    none.

    Raises:
        GatePolicyError: the value is not a table, or its name or a key is misspelled.
    """
    tools = _table(document, "tool", "tool")
    for name in _MISSPELT:
        if name in tools:
            raise GatePolicyError(
                f"unknown table [tool.{name}]; did you mean tool.sqlmesh_tracker?"
            )
    ours = _table(tools, "sqlmesh_tracker", "tool.sqlmesh_tracker")
    check_keys(ours, ["gate", "check"])
    return ours


def _table(parent: Mapping[str, Any], key: str, path: str) -> Mapping[str, Any]:
    table = parent.get(key, {})
    if not isinstance(table, Mapping):
        raise GatePolicyError(f"{path} must be a table, not {short_repr(table)}")
    return table


def parsed(text: str) -> dict[str, Any]:
    """The document of a TOML text.

    Raises:
        GatePolicyError: the text is not TOML; the message says where and why.
    """
    # Python 3.10 needs the backport.
    toml = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    try:
        document: dict[str, Any] = toml.loads(text)
    except (ValueError, RecursionError) as error:
        raise GatePolicyError(f"invalid TOML: {one_line(str(error))}") from None
    return document


def document_in(file: Path) -> dict[str, Any]:
    """The TOML document in a file.

    Raises:
        GatePolicyError: the file can't be read, or is not TOML.
    """
    try:
        return parsed(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise GatePolicyError(f"can't be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise GatePolicyError("invalid TOML: it must be encoded as UTF-8") from None
