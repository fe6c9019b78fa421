"""Values of Python as values of a column's type, without any change of what they mean.

A database would round, cut off or convert a value that does not fit a column. An expected row would
then equal a row that it does not describe. Values travel to the database in JSON.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal, InvalidOperation
from numbers import Integral, Real
from typing import Any
from uuid import UUID

from sqlglot import exp
from sqlglot.errors import SqlglotError

from pytest_sqlmesh_tracker.outcomes.moments import parse_moment

Kind = exp.DataType.Type
Document = Any
"""A value of JSON."""


class MisfitError(Exception):
    """A value that a column's type can't hold; the message says why, after the value."""


def encoded(value: object, kind: exp.DataType) -> Document:
    """The value as JSON that the database casts to the type.

    Raises:
        MisfitError: the type can't hold the value.
    """
    value = _plain(value)
    if value is None:
        return None
    if kind.this in _ENCODERS:
        return _ENCODERS[kind.this](value, kind)
    # Types of extensions, and those that users have created.
    return value if isinstance(value, bool | int | str | list | dict) else str(value)


def type_of(text: str, dialect: str) -> exp.DataType:
    """A column's type, as the engine shows it; an unknown one if it can't be read."""
    try:
        return exp.DataType.build(text, dialect=dialect, udt=True)
    except SqlglotError:
        return exp.DataType.build("unknown")


def _plain(value: Any) -> Any:
    """A value of numpy or pandas as one of Python; None for what pandas shows where it has none."""
    if type(value).__module__.partition(".")[0] in ("numpy", "pandas"):
        if type(value).__name__ in ("NaTType", "NAType"):
            return None
        if getattr(value, "nanosecond", 0) or getattr(value, "nanoseconds", 0):
            raise MisfitError("has nanoseconds, which are not compared")
        for method in ("to_pydatetime", "tolist", "to_pytimedelta"):
            if hasattr(value, method):
                return getattr(value, method)()
    return value


def _integer(value: Any, _: exp.DataType) -> Document:
    number = _number(value)
    if not (number.is_finite() and number == number.to_integral_value()):
        raise MisfitError("is not an integer")
    return str(int(number))


def _decimal(value: Any, kind: exp.DataType) -> Document:
    number = _number(value)
    digits = [int(each.name) for each in kind.expressions if each.name.isdigit()]
    if digits and number.is_finite():
        scale = digits[1] if len(digits) > 1 else 0
        if number != round(number, scale):
            raise MisfitError(f"has more than {scale} decimal places")
    return format(number, "f") if number.is_finite() else str(number)


def _double(value: Any, _: exp.DataType) -> Document:
    number = _number(value)
    as_float = float(number)
    # The decimal 0.1 means the nearest double; an integer beyond 2**53 means itself.
    if number.is_finite() and number not in (Decimal(as_float), Decimal(repr(as_float))):
        raise MisfitError("is not exactly a floating-point number")
    return repr(as_float)


def _real(value: Any, _: exp.DataType) -> Document:
    as_float = float(_number(value))
    if math.isfinite(as_float):
        try:
            (as_float,) = struct.unpack("f", struct.pack("f", as_float))
        except OverflowError:
            raise MisfitError("is too large") from None
    return repr(as_float)


def _number(value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, Integral | Real | Decimal):
        raise MisfitError("is not a number")
    try:
        # The shortest text of a float is what a test means by 0.1.
        return Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    except (InvalidOperation, TypeError):
        return Decimal(str(value))


def _boolean(value: Any, _: exp.DataType) -> Document:
    if not isinstance(value, bool):
        raise MisfitError("is neither True nor False")
    return value


def _text(value: Any, kind: exp.DataType) -> Document:
    if not isinstance(value, str):
        raise MisfitError("is not text")
    if "\x00" in value:
        raise MisfitError("contains a NUL character")
    # PostgreSQL would cut off spaces.
    lengths = [int(each.name) for each in kind.expressions if each.name.isdigit()]
    if kind.this == Kind.VARCHAR and lengths and len(value) > lengths[0]:
        raise MisfitError(f"has more than {lengths[0]} characters")
    return str(value)


def _date(value: Any, _: exp.DataType) -> Document:
    moment = _moment(value)
    if (moment.hour, moment.minute, moment.second, moment.microsecond) != (0, 0, 0, 0):
        raise MisfitError("has a time")
    return moment.date().isoformat()


def _timestamp(value: Any, kind: exp.DataType) -> Document:
    moment = _moment(value)
    step = _PRECISIONS.get(kind.this, 1)
    if kind.expressions and kind.expressions[0].name.isdigit():
        step = 10 ** max(0, 6 - int(kind.expressions[0].name))
    if moment.microsecond % step:
        raise MisfitError("is more precise")
    return moment.replace(tzinfo=None).isoformat(" ")


def _timestamp_with_zone(value: Any, kind: exp.DataType) -> Document:
    return f"{_timestamp(value, kind)}+00:00"


def _moment(value: Any) -> datetime:
    """A time in UTC, as everywhere in a sandbox."""
    if not isinstance(value, str | date):
        raise MisfitError("is not a date or a time")
    try:
        moment: datetime = parse_moment(value)
    except ValueError:
        raise MisfitError("is not a date or a time") from None
    return moment.astimezone(timezone.utc)


def _time(value: Any, _: exp.DataType) -> Document:
    try:
        moment = time.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        raise MisfitError("is not a time of day") from None
    if not isinstance(moment, time):
        raise MisfitError("is not a time of day")
    if moment.tzinfo is not None:
        raise MisfitError("has a time zone")
    return moment.isoformat()


def _interval(value: Any, _: exp.DataType) -> Document:
    if isinstance(value, str):
        return value
    if not isinstance(value, timedelta):
        raise MisfitError("is not a timedelta")
    # Python has negative days beside positive seconds. DuckDB would not equate them with `-1 hour`.
    sign, size = ("-", -value) if value < timedelta() else ("", value)
    parts = (size.days, "days"), (size.seconds, "seconds"), (size.microseconds, "microseconds")
    return " ".join(f"{sign}{number} {unit}" for number, unit in parts)


def _uuid(value: Any, _: exp.DataType) -> Document:
    try:
        return str(value if isinstance(value, UUID) else UUID(value))
    except (ValueError, TypeError, AttributeError):
        raise MisfitError("is not a UUID") from None


def _json(value: Any, _: exp.DataType) -> Document:
    try:
        if isinstance(value, str):
            try:
                return json.loads(value)
            except ValueError:
                return value
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        raise MisfitError("can't be written as JSON") from None
    return value


def _bytes(value: Any, _: exp.DataType) -> Document:
    if not isinstance(value, bytes | bytearray | memoryview):
        raise MisfitError("is not bytes")
    return f"\\x{bytes(value).hex()}"


def _list(value: Any, kind: exp.DataType) -> Document:
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise MisfitError("is not a list")
    (inner,) = kind.expressions[:1]

    def of(each: Any) -> exp.DataType:
        # PostgreSQL's types do not show how many dimensions an array has.
        return kind if isinstance(each, list) and inner.this not in _NESTED else inner

    return [_within(f"[{n}]", each, of(each)) for n, each in enumerate(value)]


def _struct(value: Any, kind: exp.DataType) -> Document:
    if not isinstance(value, Mapping):
        raise MisfitError("is not a mapping")
    fields = {field.name: field for field in kind.expressions}
    for name in value:
        if name not in fields:
            raise MisfitError(f"has the field {name!r}, which is not among {', '.join(fields)}")
    return {
        name: _within(f".{name}", value.get(name), field.args["kind"])
        for name, field in fields.items()
    }


def _map(value: Any, kind: exp.DataType) -> Document:
    if not isinstance(value, Mapping):
        raise MisfitError("is not a mapping")
    keys, values = kind.expressions
    return {
        str(_within(" as a key", key, keys)): _within(f"[{key!r}]", each, values)
        for key, each in value.items()
    }


def _within(place: str, value: Any, kind: exp.DataType) -> Document:
    try:
        return encoded(value, kind)
    except MisfitError as error:
        raise MisfitError(f"holds {value!r} at {place.strip()}, which {error}") from None


_INTEGERS = {
    *(Kind.TINYINT, Kind.SMALLINT, Kind.INT, Kind.BIGINT, Kind.INT128, Kind.INT256),
    *(Kind.UTINYINT, Kind.USMALLINT, Kind.UINT, Kind.UBIGINT, Kind.UINT128),
}
_TEXTS = {Kind.TEXT, Kind.VARCHAR, Kind.CHAR, Kind.BPCHAR, Kind.ENUM, Kind.NVARCHAR, Kind.NAME}
_NESTED = {Kind.ARRAY, Kind.LIST, Kind.JSON, Kind.JSONB}
_PRECISIONS = {Kind.TIMESTAMP_S: 1_000_000, Kind.TIMESTAMP_MS: 1_000}
"""The types whose precision is coarser than a microsecond, in microseconds."""
_TIMESTAMPS = {Kind.TIMESTAMP, Kind.TIMESTAMPNTZ, Kind.DATETIME, Kind.TIMESTAMP_NS, *_PRECISIONS}
_TIMESTAMPS_WITH_ZONE = {Kind.TIMESTAMPTZ, Kind.TIMESTAMPLTZ}

_ENCODERS: Mapping[Any, Callable[[Any, exp.DataType], Document]] = {
    **dict.fromkeys(_INTEGERS, _integer),
    **dict.fromkeys(_TEXTS, _text),
    **dict.fromkeys(_TIMESTAMPS, _timestamp),
    **dict.fromkeys(_TIMESTAMPS_WITH_ZONE, _timestamp_with_zone),
    Kind.DECIMAL: _decimal,
    Kind.DOUBLE: _double,
    Kind.FLOAT: _real,
    Kind.BOOLEAN: _boolean,
    Kind.DATE: _date,
    Kind.TIME: _time,
    Kind.INTERVAL: _interval,
    Kind.UUID: _uuid,
    Kind.JSON: _json,
    Kind.JSONB: _json,
    Kind.BLOB: _bytes,
    Kind.VARBINARY: _bytes,
    Kind.ARRAY: _list,
    Kind.LIST: _list,
    Kind.STRUCT: _struct,
    Kind.MAP: _map,
}
