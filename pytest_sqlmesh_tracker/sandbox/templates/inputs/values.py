"""Values as text, equal only for equal values, in every process."""

from __future__ import annotations

import dis
from collections.abc import Iterator, Mapping
from dataclasses import fields
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path, PurePath
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any

from pytest_sqlmesh_tracker.sandbox.options import ProjectOptions

from .installed import is_installed


class UnkeepableError(Exception):
    """Why a template is not kept, in words that follow "not kept: "."""


class ChangedMeanwhileError(UnkeepableError):
    """Something changed while the template was planned; the next time, it may be kept."""


_PLAIN = (str, bytes, int, float, complex, Decimal, date, datetime, time, timedelta, PurePath)


def plain(value: Any) -> str:
    """A value as text.

    Raises:
        UnkeepableError: it has, or contains, an object that can't be compared with those of other
            processes.
    """
    if (
        value is None
        or value is ...
        or type(value) in (bool, *_PLAIN)
        or isinstance(value, PurePath)
    ):
        return f"{type(value).__name__}:{value!r}"
    if isinstance(value, Enum):
        return f"{type(value).__qualname__}.{value.name}"
    if type(value) in (list, tuple):
        return f"{type(value).__name__}:[{','.join(map(plain, value))}]"
    if type(value) in (set, frozenset):
        return f"set:[{','.join(sorted(map(plain, value)))}]"
    if isinstance(value, Mapping):
        return f"{{{','.join(f'{plain(k)}={plain(v)}' for k, v in value.items())}}}"
    raise UnkeepableError(f"it depends on a {type(value).__name__}")


def plain_options(options: ProjectOptions) -> str:
    """The options of a template as text.

    Raises:
        UnkeepableError: one of them is an object, or there are stubs.
    """
    if options.stub:
        raise UnkeepableError("it has stubs")
    return "\n".join(f"{f.name}={plain(getattr(options, f.name))}" for f in fields(options))


def setup_files(function: Any) -> Iterator[Path]:
    """The files with the code of a set-up function."""
    yield from {Path(code.co_filename) for code in _codes(_code_of(function))}


def setup_values(function: Any) -> str:
    """What a set-up function consists of besides its files: the values that it carries and reads.

    Raises:
        UnkeepableError: it is not a function, or one of the values is an object.
    """
    return _function(function, set())


def _function(function: FunctionType, seen: set[int]) -> str:
    if id(function) in seen:
        return ""
    seen.add(id(function))
    code = _code_of(function)
    cells = [cell.cell_contents for cell in function.__closure__ or ()]
    carried = [*cells, *(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
    names = {
        instruction.argval
        for each in _codes(code)
        for instruction in dis.get_instructions(each)
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME")
    }
    used = [
        f"{name}={_carried(function.__globals__[name], seen)}"
        for name in sorted(names)
        if name in function.__globals__
    ]
    return "\n".join([function.__qualname__, *(_carried(value, seen) for value in carried), *used])


def _carried(value: Any, seen: set[int]) -> str:
    # The source of modules and classes is compared.
    if isinstance(value, ModuleType):
        return value.__name__
    if isinstance(value, type | BuiltinFunctionType):
        return f"{value.__module__}.{value.__qualname__}"
    if isinstance(value, FunctionType):
        if is_installed(value.__code__.co_filename):
            return f"{value.__module__}.{value.__qualname__}"
        return _function(value, seen)
    try:
        return plain(value)
    except UnkeepableError:
        raise UnkeepableError(f"its set-up function uses a {type(value).__name__}") from None


def _code_of(function: Any) -> CodeType:
    if not isinstance(function, FunctionType):
        raise UnkeepableError(f"its set-up is a {type(function).__name__}, not a plain function")
    if not Path(function.__code__.co_filename).is_file():
        raise UnkeepableError("its set-up is a function without a file")
    return function.__code__


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)
