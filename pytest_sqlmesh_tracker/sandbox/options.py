"""The options of a sandbox: the arguments of the marker `sqlmesh_project`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum
from hashlib import sha256
from inspect import signature
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from pytest_sqlmesh_tracker.outcomes.moments import parse_moment
from pytest_sqlmesh_tracker.suggestions import unknown_argument
from pytest_sqlmesh_tracker.wording.formats import short_repr


class PlanScope(Enum):
    """What is planned before a test begins."""

    NOTHING = False
    EVERYTHING = True
    WHAT_LOADS = "partial"
    """Everything except the models that fail and the models downstream of them."""


class DatabaseState(Enum):
    """What a sandbox starts with in the project's local database files."""

    FRESH = "fresh"
    """Copies, without what SQLMesh has created in them."""
    KEEP = "keep"
    """Copies, including what SQLMesh has created in them."""
    EMPTY = "empty"
    """Empty databases: the files are not read."""


class SandboxError(Exception):
    """A sandbox can't be made, or can't do what was requested.

    The message is one line, which SQLMesh's own message may follow.
    """


@dataclass(frozen=True)
class StubData:
    """The data that a model has instead of its query.

    Attributes:
        value: rows as mappings, a DataFrame, the path of a file, or the text of a query.
        digest: a digest of the value, by which equal data is recognized.
    """

    value: Any = field(compare=False, repr=False)
    digest: str

    @classmethod
    def of(cls, value: Any) -> StubData:
        """The data that a test passes.

        Raises:
            SandboxError: it is of another type.
        """
        __tracebackhide__ = True
        if isinstance(value, PathLike) or (isinstance(value, str) and _is_file(value)):
            value = Path(value)
            if not _is_file(value.name):
                raise SandboxError(
                    f"stub: a file must end in {', '.join(_FILES)}, not {value.suffix!r}"
                )
            shown = str(value)
        elif isinstance(value, str):
            shown = value
        elif hasattr(value, "to_dict"):
            shown = repr(value.to_dict("records"))
        elif isinstance(value, Iterable) and not isinstance(value, Mapping | bytes):
            value = [*value]
            shown = repr(value)
        else:
            raise SandboxError(
                "stub: the data must be a list of mappings, a DataFrame, a file or a query, not "
                f"{short_repr(value)}"
            )
        return cls(value, sha256(f"{type(value).__name__}:{shown}".encode()).hexdigest())

    def below(self, root: Path) -> StubData:
        """The same data, with a relative path of a file as one below this folder."""
        return replace(self, value=root / self.value) if isinstance(self.value, Path) else self


_FILES = (".csv", ".parquet", ".json")


def _is_file(text: str) -> bool:
    return text.lower().endswith(_FILES) and len(text.split()) == 1


@dataclass(frozen=True)
class ProjectOptions:
    """Which project a test starts from, how it is planned, and when.

    Equal options share a template.

    Attributes:
        paths: the project's paths, below the root folder; empty for the default.
        at: the time of the plan, in UTC; None for the present.
        variables: SQLMesh's variables: name (in lower case, sorted) → value.
        setup: SQL files that load raw data before the plan.
        tick: whether the sandbox's clock advances by itself.
        select: selectors of the models to plan, with everything upstream; empty for every model.
        stub: the models that have a test's data instead of their queries: name → data.
        arrivals: the tables whose rows arrive over time: name → column with the time of arrival.
    """

    paths: tuple[str, ...] = ()
    gateway: str | None = None
    at: datetime | None = None
    environment: str = "prod"
    variables: Mapping[str, Any] = field(default_factory=dict, hash=False)
    plan: PlanScope = PlanScope.EVERYTHING
    setup: tuple[str, ...] = ()
    state: DatabaseState = DatabaseState.FRESH
    tick: bool = True
    select: tuple[str, ...] = ()
    stub: Mapping[str, StubData] = field(default_factory=dict, hash=False)
    arrivals: Mapping[str, str] = field(default_factory=dict, hash=False)


def project_options(
    arguments: Mapping[str, Any], source: str = "the marker sqlmesh_project"
) -> ProjectOptions:
    """The options that the markers' keywords set; None means the default.

    Args:
        source: what takes the keywords, for messages.

    Raises:
        SandboxError: a keyword is unknown, or its value is invalid.
    """
    valid = list(signature(_options).parameters)
    for keyword in arguments:
        if keyword not in valid:
            raise SandboxError(unknown_argument(source, keyword, valid))
    return _options(**{name: value for name, value in arguments.items() if value is not None})


def _options(
    path: Any = None,
    *,
    gateway: str | None = None,
    at: Any = None,
    environment: str = "prod",
    variables: Mapping[str, Any] | None = None,
    plan: bool | str = True,
    setup: Any = None,
    state: str = "fresh",
    tick: bool = True,
    select: Any = None,
    stub: Any = None,
    arrivals: Any = None,
) -> ProjectOptions:
    if state not in [each.value for each in DatabaseState]:
        raise SandboxError(f"state must be 'fresh', 'keep' or 'empty', not {short_repr(state)}")
    if not (isinstance(plan, bool) or plan == "partial"):
        raise SandboxError(f"plan must be True, False or 'partial', not {short_repr(plan)}")
    if not isinstance(tick, bool):
        raise SandboxError(f"tick must be True or False, not {short_repr(tick)}")
    for name, text in (("gateway", gateway), ("environment", environment)):
        if not isinstance(text, str | None):
            raise SandboxError(f"{name} must be a name, not {short_repr(text)}")
    if not isinstance(variables or {}, Mapping):
        raise SandboxError(
            f"variables must be a mapping of names to values, not {short_repr(variables)}"
        )
    return ProjectOptions(
        paths=_texts("path", path),
        gateway=gateway,
        at=None if at is None else absolute(at),
        environment=environment,
        # SQLMesh ignores the case of variable names.
        variables=_in_order(variables or {}),
        plan=PlanScope(plan),
        setup=_texts("setup", setup),
        state=DatabaseState(state),
        tick=tick,
        select=_texts("select", select),
        stub=_stubs(stub, state),
        arrivals=_arrivals(arrivals),
    )


def _stubs(stubs: Any, state: str) -> dict[str, StubData]:
    if not isinstance(stubs or {}, Mapping):
        raise SandboxError(f"stub must map names of models to data, not {short_repr(stubs)}")
    if stubs and state == "keep":
        raise SandboxError("stub: with state='keep', the models are loaded already")
    return {name: StubData.of(stubs[name]) for name in sorted(stubs or {}, key=str)}


def _arrivals(columns: Any) -> dict[str, str]:
    columns = columns or {}
    if not isinstance(columns, Mapping) or not all(
        isinstance(text, str) and text for pair in columns.items() for text in pair
    ):
        raise SandboxError(
            "arrivals must map names of tables to names of columns, as in "
            f"{{'raw.events': 'seen_at'}}, not {short_repr(columns)}"
        )
    return {name: columns[name] for name in sorted(columns)}


def _in_order(variables: Mapping[str, Any]) -> dict[str, Any]:
    lowered = {name.lower(): value for name, value in variables.items()}
    return {name: lowered[name] for name in sorted(lowered)}


def _texts(name: str, value: Any) -> tuple[str, ...]:
    """One or several strings or paths, as strings."""
    if value is None:
        return ()
    values = [value] if isinstance(value, str | PathLike) else value
    if not isinstance(values, Iterable) or not all(isinstance(v, str | PathLike) for v in values):
        raise SandboxError(
            f"{name} must be a string or a path, or a list of them, not {short_repr(value)}"
        )
    return tuple(map(fspath, values))


def absolute(moment: Any) -> datetime:
    """A moment from an ISO string, date or datetime; in UTC unless it has a time zone.

    Raises:
        SandboxError: the value is anything else.
    """
    __tracebackhide__ = True
    try:
        return parse_moment(moment)
    except ValueError:
        raise SandboxError(
            f"{moment!r} is not a time: use an ISO string such as '2024-01-09 01:00' (UTC)"
        ) from None
