"""Which modules outside of the project its code uses, whenever they were imported first."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from .installed import is_installed
from .values import UnkeepableError, plain

_WORD = re.compile(r"\w+")
_NATIVE_READERS = (
    "adbc_driver_manager", "aiohttp", "boto3", "connectorx", "ctypes", "fastparquet", "fsspec",
    "h5py", "mmap", "netCDF4", "openpyxl", "polars", "psycopg", "psycopg2", "pyarrow", "pyodbc",
    "pyspark", "read_excel", "read_feather", "read_hdf", "read_orc", "read_parquet", "read_sql",
    "s3fs", "zarr",
)  # fmt: skip
"""Words in Python code that reads files, or networks, in ways that can't be recorded."""


def check_readers(texts: Iterable[str]) -> None:
    """Reject Python code that may read what can't be recorded.

    Raises:
        UnkeepableError: it mentions a module or a function that does.
    """
    words = _words(texts)
    for name in _NATIVE_READERS:
        if name in words:
            raise UnkeepableError(f"its Python code uses {name}, which can read files unseen")


def used_modules(texts: Iterable[str], modules: Mapping[str, ModuleType]) -> dict[str, Path]:
    """The modules that code may use, with their files: those whose names it contains.

    A dynamic import mentions the name, too. So there can be too many, but rarely too few.

    Args:
        texts: the source of the code.
        modules: the candidates, by name. Installed modules are left out.
    """
    places = {n: f for n, module in modules.items() if (f := _own_source(module)) is not None}
    words = _words(texts)
    used: dict[str, Path] = {}
    while True:
        more = {n: f for n, f in places.items() if n not in used and n.split(".")[-1] in words}
        if not more:
            return used
        used.update(more)
        words |= _words(_text(file) for file in more.values())


def values_of(module: ModuleType | None) -> str:
    """The plain values in a module that was imported before; empty if it was not.

    They can depend on anything. What else the module has read when it was imported is unknown.
    """
    return "\n".join(_values(vars(module))) if module else ""


def _values(variables: Mapping[str, Any]) -> Iterator[str]:
    for name, value in sorted(variables.items()):
        # Python sets its own; the others are often objects, whose source is compared.
        if not name.startswith("__"):
            with suppress(UnkeepableError):
                yield f"{name}={plain(value)}"


def _words(texts: Iterable[str]) -> set[str]:
    return {word for text in texts for word in _WORD.findall(text)}


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _own_source(module: ModuleType) -> Path | None:
    """The source of a module that belongs to the user: of no package that is installed."""
    variables = getattr(module, "__dict__", {})
    file = variables.get("__file__")
    # This package is an input in any case.
    if str(variables.get("__name__")).partition(".")[0] == "pytest_sqlmesh_tracker":
        return None
    if not isinstance(file, str) or not file.endswith(".py") or is_installed(file):
        return None
    return Path(file)
