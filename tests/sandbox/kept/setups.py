"""Set-up functions, in a file that imports nothing of the tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def loads(rows: int) -> Callable[[Any], None]:
    def setup(connection: Any) -> None:
        connection.execute(f"CREATE TABLE main.loaded AS FROM range({rows})")

    return setup
