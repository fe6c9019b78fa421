"""Which modules outside of the project its code uses, whenever they were imported first."""

from __future__ import annotations

import re
import sys
from collections.abc import Container, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from .installed import is_installed
from .values import UnkeepableError, plain

_DYNAMIC = {"__import__", "importlib", "iter_modules", "pkgutil", "walk_packages"}
_METHODS = (classmethod, staticmethod)
_WORD = re.compile(r"\w+")
_NATIVE_READERS = (
    "FileIO", "adbc_driver_manager", "aiohttp", "boto3", "connectorx", "ctypes", "fastparquet",
    "from_csv_auto", "from_parquet", "fsspec", "genfromtxt", "h5py", "loadtxt", "mmap", "netCDF4",
    "openpyxl", "polars", "psycopg", "psycopg2", "pyarrow", "pyodbc", "pyspark", "read_excel",
    "read_feather", "read_hdf", "read_orc", "read_parquet", "read_sql", "s3fs", "zarr",
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
        packages = {n.split(".")[0] for n, f in used.items() if imports_by_name(f)}
        more = {
            n: f
            for n, f in places.items()
            if n not in used and (n.split(".")[-1] in words or n.split(".")[0] in packages)
        }
        if not more:
            return used
        used.update(more)
        words |= _words(_text(file) for file in more.values())


def imports_by_name(file: Path) -> bool:
    """Whether a module may import others of its package that it does not mention."""
    return not _words([_text(file)]).isdisjoint(_DYNAMIC)


def check_not_replaced(words_of: Iterable[str], used: Mapping[str, Path], folder: Path) -> None:
    """Reject functions that something else, such as a fixture, has replaced in modules.

    Args:
        words_of: the source of the code that may use the modules.
        used: the user's own modules that it uses, with their files.
        folder: the folder of the template.

    Raises:
        UnkeepableError: a function in one of the modules is a mock, or its code is elsewhere.
    """
    words = _words(words_of)
    known = {str(file) for file in used.values()}
    for name, module in sys.modules.copy().items():
        if words.issuperset(name.split(".")) or name in used:
            for variable, value in _functions(vars(module)):
                if _is_replaced(value, known, folder):
                    raise UnkeepableError(
                        f"its Python code uses {name}.{variable}, which was replaced"
                    )


def _functions(variables: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in list(variables.items()):
        yield name, value
        if isinstance(value, type):
            yield from ((f"{name}.{each}", method) for each, method in list(vars(value).items()))


def _is_replaced(value: Any, known: Container[str], folder: Path) -> bool:
    mocks = sys.modules.get("unittest.mock")
    if mocks is not None and isinstance(value, mocks.NonCallableMock):
        return True
    value = getattr(value, "__func__", value) if isinstance(value, _METHODS) else value
    if not isinstance(value, FunctionType):
        return False
    file = value.__code__.co_filename
    return not (
        file in known
        or is_installed(file)
        or Path(file).is_relative_to(folder)
        or str(value.__globals__.get("__name__")).startswith("pytest_sqlmesh_tracker")
        or not Path(file).is_file()
    )


def values_of(module: ModuleType | None) -> str:
    """The values in a module that was imported before, as text; empty if it was not.

    They can depend on anything. What else the module has read when it was imported is unknown.
    """
    return "\n".join(_values(vars(module))) if module else ""


def _values(variables: Mapping[str, Any], seen: frozenset[int] = frozenset()) -> Iterator[str]:
    for name, value in sorted(variables.items()):
        # Python sets its own; of functions, the source is compared.
        if not name.startswith("__"):
            yield f"{name}={_described(value, seen)}"


def _described(value: Any, seen: frozenset[int]) -> str:
    """A value as text, as far as it can be compared: also what settings and classes contain."""
    with suppress(UnkeepableError):
        return plain(value)
    if id(value) in seen:
        return ""
    seen |= {id(value)}
    if isinstance(value, Mapping):
        return ",".join(f"{_described(k, seen)}={_described(v, seen)}" for k, v in value.items())
    if isinstance(value, list | tuple):
        return ",".join(_described(each, seen) for each in value)
    kind = value if isinstance(value, type) else type(value)
    variables = getattr(value, "__dict__", None)
    home = sys.modules.get(kind.__module__)
    if isinstance(variables, Mapping) and home is not None and _own_source(home) is not None:
        return "\n".join([kind.__qualname__, *_values(variables, seen)])
    return kind.__qualname__


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
