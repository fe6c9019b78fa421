"""The report on one invocation. It is complete in itself, and does not import SQLMesh."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Literal, TypeVar
from uuid import UUID, uuid4, uuid5

from pydantic import BeforeValidator, Field, JsonValue, ValidationError, model_validator
from pydantic_core import to_jsonable_python

from pytest_sqlmesh_tracker.models.index import ModelIndex, UnknownModelError
from pytest_sqlmesh_tracker.outcomes.invocation import Command, Completion, EnvironmentState
from pytest_sqlmesh_tracker.outcomes.types import Frozen, UtcDatetime
from pytest_sqlmesh_tracker.outcomes.vocabulary import Cause, Reason, Status
from pytest_sqlmesh_tracker.version import __version__
from pytest_sqlmesh_tracker.wording import brief
from pytest_sqlmesh_tracker.wording.paragraphs import Paragraphs

from .assertions import AssertionMethods
from .outcomes import ModelOutcome
from .parsing import parse_cause, parse_reason

SCHEMA_VERSION: Literal[2] = 2
_READABLE = (1, SCHEMA_VERSION)
_DERIVED_IDS = UUID("7c1c8e5b-6f0a-4d0e-9d5f-0f4b2a7f7f11")
"""The namespace for ids that are derived from the content of reports without an id."""

_Word = TypeVar("_Word", Reason, Cause)


def _as_json(value: object) -> object:
    return to_jsonable_python(value, inf_nan_mode="null", fallback=str)


_indexed: dict[int, tuple[Mapping[str, ModelOutcome], ModelIndex[ModelOutcome]]] = {}
"""The id of the outcomes that were searched last → the outcomes, and their index."""


def _index_of(outcomes: Mapping[str, ModelOutcome]) -> ModelIndex[ModelOutcome]:
    """An index of outcomes. One is kept, since tests look up one model after another."""
    kept = _indexed.get(id(outcomes))
    if kept is None or kept[0] is not outcomes:
        kept = outcomes, ModelIndex(outcomes.values())
        _indexed.clear()
        _indexed[id(outcomes)] = kept
    return kept[1]


class NoReportError(LookupError):
    """A report was requested from a tracker before it had tracked any invocation."""


class ByReason(dict[str, frozenset[str]]):
    """Primary reason → names of its models. A valid reason without models maps to an empty set."""

    def __missing__(self, key: object) -> frozenset[str]:
        __tracebackhide__ = True
        return _nothing(parse_reason, key)


class ByCause(dict[str, frozenset[str]]):
    """Primary cause → names of its models. A valid cause without models maps to an empty set."""

    def __missing__(self, key: object) -> frozenset[str]:
        __tracebackhide__ = True
        return _nothing(parse_cause, key)


def _nothing(parse: Callable[[object], object], key: object) -> frozenset[str]:
    """An empty set, if the word is valid.

    Raises:
        KeyError: the word is not valid; the message has close matches.
    """
    __tracebackhide__ = True
    try:
        parse(key)
    except ValueError as error:
        raise KeyError(str(error)) from None
    return frozenset()


class RunReport(AssertionMethods, Frozen):
    """What is known about one invocation of `Context.run`, `plan`, `apply` or `audit`.

    A report is complete in itself: explaining it does not need SQLMesh, and later invocations do
    not change it. Datetimes are timezone-aware and in UTC.
    """

    schema_version: Literal[2] = SCHEMA_VERSION
    """The version of the report's format."""
    id: UUID = Field(default_factory=uuid4)
    """Assigned when the invocation begins. A report that was written without an id gets one that is
    derived from its content."""
    command: Command
    """`run`; `plan`, also for `apply`; or `audit`."""
    environment: str
    """The environment's name."""
    arguments: Annotated[Mapping[str, JsonValue], BeforeValidator(_as_json)] = {}
    """The arguments of the call by parameter name. Values that JSON can't hold are texts."""
    execution_time: UtcDatetime
    """The invocation's "now": the argument of that name, or the time that SQLMesh used instead."""
    started_at: UtcDatetime
    """When the call began."""
    finished_at: UtcDatetime
    """When the call returned or raised an exception."""
    completion: Completion
    """`success`; `nothing_to_do`, also for a plan without changes; `failure`: a model failed,
    whether or not the call raised an exception; `interrupted`; `raised`: it raised any other
    exception."""
    error: str | None = None
    """Type and message of the exception that the call raised."""
    outcomes: Mapping[str, ModelOutcome]
    """Name → outcome, in topological order."""
    removed: tuple[str, ...] = ()
    """Names of the models that the plan removes from the environment."""
    environment_state: EnvironmentState | None = None
    """Present only if the environment of a run is missing, or if its latest plan was not finished
    when the invocation ended."""
    project_files: Literal["read", "not_read"] | None = None
    """Whether the project's files were read, which `not_in_environment` and `local_edit` depend on.
    None in a report of version 1."""
    project_files_note: str | None = None
    """Why they were not read."""
    superseded: bool = False
    """True if the invocation belongs to a try of a test that was repeated: totals, the gate and
    strict tests leave it out."""

    @model_validator(mode="after")
    def _outcomes_are_under_their_names(self) -> RunReport:
        for name, outcome in self.outcomes.items():
            if name != outcome.name:
                raise ValueError(f"outcomes.{name} is named {outcome.name!r}")
        return self

    def _asserted(self) -> RunReport:
        return self

    def __str__(self) -> str:
        """The invocation, the models that were evaluated or need attention, and totals."""
        return brief.text(self)

    def __repr__(self) -> str:
        """The invocation and its totals, in one line."""
        return f"<RunReport {brief.line(self)}>"

    def table(self) -> str:
        """A plain-text table with a row for every model, including those that are not
        evaluatable."""
        from pytest_sqlmesh_tracker.wording.table import table

        return table(self, everything=True)

    def __contains__(self, model: object) -> bool:
        """Whether the name or object means exactly one model of the report."""
        try:
            return bool(self[model])
        except UnknownModelError:
            return False

    def __getitem__(self, model: object) -> ModelOutcome:
        """The outcome of one model: `report["sales.orders"]`.

        Raises:
            UnknownModelError: the name or object means no model of the report, or several.
        """
        __tracebackhide__ = True
        return _index_of(self.outcomes).one(model)

    def matching(self, model: object) -> list[ModelOutcome]:
        """The outcomes that a name, an object or a glob means; at least one.

        Raises:
            UnknownModelError: nothing matches, or a name is ambiguous.
        """
        __tracebackhide__ = True
        return _index_of(self.outcomes).matching(model)

    def _with_status(self, status: Status) -> frozenset[str]:
        return frozenset(outcome.name for outcome in self.counted if outcome.status is status)

    @property
    def counted(self) -> tuple[ModelOutcome, ...]:
        """The outcomes that sets, totals and tables count: all but the `not_evaluatable`."""
        return tuple(outcome for outcome in self.outcomes.values() if outcome.is_counted)

    @property
    def not_evaluatable(self) -> frozenset[str]:
        """Names of the external and embedded models without audits, which are listed but not
        counted."""
        return frozenset(name for name, o in self.outcomes.items() if not o.is_counted)

    @property
    def executed(self) -> frozenset[str]:
        """Names of the models whose scheduled batches were all evaluated and recorded."""
        return self._with_status(Status.EXECUTED)

    @property
    def failed(self) -> frozenset[str]:
        """Names of the models whose evaluation, table or blocking audit failed."""
        return self._with_status(Status.FAILED)

    @property
    def skipped(self) -> frozenset[str]:
        """Names of the models that could be evaluated, and were neither evaluated nor audited."""
        return self._with_status(Status.SKIPPED)

    @property
    def audited(self) -> frozenset[str]:
        """Names of the models for which only audits ran."""
        return self._with_status(Status.AUDITED)

    @property
    def interrupted(self) -> frozenset[str]:
        """Names of the models that had work left when the invocation ended early."""
        return self._with_status(Status.INTERRUPTED)

    @property
    def unknown(self) -> frozenset[str]:
        """Names of the models for which the tracker could not determine what happened."""
        return self._with_status(Status.UNKNOWN)

    @property
    def by_reason(self) -> ByReason:
        """Primary reason → names of its models, in order of precedence. A valid reason that no
        model has maps to an empty set."""
        pairs = ((o.reason, name) for name, o in self.outcomes.items() if o.reason)
        return ByReason(_grouped(Reason, pairs))

    @property
    def by_cause(self) -> ByCause:
        """Primary cause → names of its models, in order of precedence. A valid cause that no model
        has maps to an empty set."""
        pairs = ((o.cause, name) for name, o in self.outcomes.items() if o.cause)
        return ByCause(_grouped(Cause, pairs))

    def explain(self, model: object) -> str:
        """The paragraph that a failed assertion shows of a model, or of each model that a glob
        matches.

        Raises:
            UnknownModelError: nothing matches, or a name is ambiguous.
        """
        __tracebackhide__ = True
        paragraphs = Paragraphs(self)
        return "\n\n".join(paragraphs.of(outcome) for outcome in self.matching(model))

    def to_dict(self) -> dict[str, Any]:
        """The report as a dictionary of values that JSON can hold."""
        return self.model_dump(mode="json")

    def to_json(self, *, indent: int | None = None) -> str:
        """The report as one JSON object."""
        return dumped(self.to_dict(), indent)

    @classmethod
    def from_dict(cls, data: object) -> RunReport:
        """The report from what `to_dict` returned.

        Raises:
            ValueError: it is something else; one line says where and what.
        """
        try:
            json.dumps(data)
        except (TypeError, ValueError, RecursionError) as error:
            raise _not_json(error) from None
        return cls.from_parsed(data)

    @classmethod
    def from_parsed(cls, data: object) -> RunReport:
        """As `from_dict`, for values that were parsed from JSON."""
        if not isinstance(data, dict):
            raise ValueError(f"not a report: expected an object, found {json_type(data)}")
        if version_of(data) == 1:
            data = {**data, "schema_version": SCHEMA_VERSION, "id": _id_of(data)}
        elif "id" not in data:
            data = {**data, "id": _id_of(data)}
        try:
            return cls.model_validate(_with_notes(data))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "report"
            more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
            line = " ".join(f"not a report: {where}: {first['msg']}{more}".split())
            raise ValueError(line) from None

    @classmethod
    def from_json(cls, text: str | bytes) -> RunReport:
        """The report from what `to_json` returned.

        Raises:
            ValueError: it is something else; one line says where and what.
        """
        return cls.from_parsed(parsed(text))


def parsed(text: str | bytes) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: the text is not JSON.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _not_json(error) from None


def _not_json(error: Exception) -> ValueError:
    return ValueError(f"not a report: not JSON ({error})")


def version_of(data: Mapping[str, Any]) -> int:
    """The version of a report or a report file.

    Raises:
        ValueError: the version is missing or not supported.
    """
    if "schema_version" not in data:
        raise ValueError("not a report: schema_version is missing")
    version = data["schema_version"]
    if type(version) is not int or version not in _READABLE:
        newer = type(version) is int and version > SCHEMA_VERSION
        remedy = "; upgrade pytest-sqlmesh-tracker to read it" if newer else ""
        raise ValueError(
            f"schema_version {reprlib.repr(version)} is not supported; "
            f"version {__version__} reads {' and '.join(map(str, _READABLE))}{remedy}"
        )
    return version


def _with_notes(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """The report, with notes added to unknown outcomes that were written without one.

    The message of such an outcome is `unknown: ` followed by the note.
    """
    outcomes = data.get("outcomes")
    if not isinstance(outcomes, dict):
        return data
    noted = {name: _with_note(outcome) for name, outcome in outcomes.items()}
    return {**data, "outcomes": noted}


def _with_note(outcome: object) -> object:
    if not isinstance(outcome, dict) or outcome.get("status") != Status.UNKNOWN:
        return outcome
    message = outcome.get("message")
    if "note" in outcome or not isinstance(message, str):
        return outcome
    return {**outcome, "note": message.removeprefix("unknown").lstrip(": ") or None}


def is_of_version_1(report: RunReport) -> bool:
    """Whether the report was written in version 1 of the format, without `waiting_since`: only the
    id of such a report is derived from its content."""
    return report.id.version == 5


def _id_of(data: Mapping[str, Any]) -> UUID:
    """The id of a report that was written without one: the same content has the same id."""
    try:
        content = json.dumps(data, sort_keys=True)
    except RecursionError as error:
        raise _not_json(error) from None
    return uuid5(_DERIVED_IDS, content)


def _grouped(words: type[_Word], pairs: Iterable[tuple[_Word, str]]) -> dict[str, frozenset[str]]:
    """Word → the names paired with it, in the order of the words."""
    names: dict[_Word, set[str]] = {}
    for word, name in pairs:
        names.setdefault(word, set()).add(name)
    return {word: frozenset(names[word]) for word in words if word in names}


def dumped(data: object, indent: int | None) -> str:
    """JSON with readable non-ASCII names, unless they contain surrogates."""
    text = json.dumps(data, indent=indent, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(data, indent=indent)
    return text


def json_type(value: object) -> str:
    """The name of the value's type in JSON."""
    names = {list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
