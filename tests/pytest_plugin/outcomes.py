"""The outcome of each test of a user's session."""

from __future__ import annotations

import re

import pytest

_LINE = re.compile(r"^(\S+::.+?) (PASSED|FAILED|ERROR|SKIPPED|RERUN)(?: +\[ *\d+%\])?$")


def outcomes(result: pytest.RunResult) -> dict[str, set[str]]:
    """Each test of a verbose session → its outcomes: two if it passed and its teardown failed."""
    by_test: dict[str, set[str]] = {}
    for match in filter(None, map(_LINE.match, result.outlines)):
        by_test.setdefault(match[1], set()).add(match[2])
    return by_test
