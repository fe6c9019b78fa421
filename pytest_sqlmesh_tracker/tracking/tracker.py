"""Which invocations are tracked, and by whom.

While anything tracks, `run`, `plan`, `apply` and `audit` of SQLMesh's context class are replaced by
wrappers, and so is `create_scheduler`; with the last tracker gone they are put back.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from inspect import signature
from typing import Any

from ..assertions import AssertionMethods
from ..frozen import check_imported
from ..report import Command, NoReportError, RunReport
from .auditing import AuditInvocation
from .contract import REPLACED
from .invocation import Invocation
from .live import OnExecuted

_COMMANDS: dict[str, Command] = {"run": "run", "plan": "plan", "apply": "plan", "audit": "audit"}


class Tracked:
    """One invocation that has ended; its report is made when it is first read."""

    def __init__(self, invocation: Invocation) -> None:
        self._invocation: Invocation | None = invocation
        self._report: RunReport | None = None
        self._lock = threading.Lock()

    @property
    def report(self) -> RunReport:
        """The invocation's report, always the same object."""
        with self._lock:
            if self._report is None:
                from .reporting import report_of

                assert self._invocation is not None
                self._report = report_of(self._invocation.recording)
                self._invocation = None
            return self._report


class Tracker(AssertionMethods):
    """Collects the invocations made while it is active; readable then and afterwards."""

    def __init__(self, on_executed: OnExecuted | None = None) -> None:
        self._tracked: list[Tracked] = []
        self._on_executed = on_executed
        self._cancelled = threading.Event()

    def _asserted(self) -> RunReport:
        return self.last

    @property
    def last(self) -> RunReport:
        """The report of the latest invocation that has ended.

        Raises:
            NoReportError: there is none.
        """
        __tracebackhide__ = True
        if not self._tracked:
            raise NoReportError(
                "no SQLMesh invocation was tracked: none of run, plan, apply and audit was called "
                "on a tracked context, or the method was looked up before tracking began"
            )
        return self._tracked[-1].report

    @property
    def reports(self) -> list[RunReport]:
        """The reports of all invocations that have ended, in that order."""
        return [tracked.report for tracked in self._tracked]

    @property
    def run_models(self) -> set[str]:
        """Names of the models that executed in any invocation."""
        return {name for report in self.reports for name in report.executed}

    @property
    def skipped_models(self) -> set[str]:
        """Names of the models that were skipped in some invocation and executed in none."""
        skipped = {name for report in self.reports for name in report.skipped}
        return skipped - self.run_models

    def cancel(self) -> None:
        """From any thread: let no further batch begin, in the invocation that goes on or in a later
        one of this tracker.

        Batches under way end, and are recorded. To SQLMesh, those that would begin fail, so `run`
        returns a failure and `plan` raises a `PlanError`; the report says `interrupted` of them,
        and of what waits for them. `Context.audit` raises what stops it. Nothing is undone, and
        nothing else is cut short: neither signals nor the creation of tables.
        """
        self._cancelled.set()

    def get_results(self) -> dict[str, list[str]]:
        """`run_models` and `skipped_models`, each sorted."""
        return {
            "run_models": sorted(self.run_models),
            "skipped_models": sorted(self.skipped_models),
        }


@contextmanager
def sqlmesh_run_tracker(
    context: Any, *, on_executed: OnExecuted | None = None
) -> Iterator[Tracker]:
    """Track the invocations of one SQLMesh context.

    On every exit all is as it was, whatever order nested trackers end in.

    Args:
        on_executed: is called with a model's outcome as soon as the last batch scheduled for it is
            recorded, once in an invocation, on the thread that evaluated it. What comes later can
            still fail the model: a plan that can't promote its view, a run that is restarted. An
            exception that it raises is logged.

    Raises:
        TypeError: `context` is no SQLMesh context.
    """
    from sqlmesh.core.context import GenericContext

    if not isinstance(context, GenericContext):
        raise TypeError(f"a SQLMesh Context is tracked, not {type(context).__name__}")
    with _listening(lambda candidate: candidate is context, on_executed) as tracker:
        yield tracker


@contextmanager
def track_all() -> Iterator[Tracker]:
    """Track the invocations of every SQLMesh context, also of those that are made meanwhile.

    What prepares a sandbox, for any number of tests, is left out.
    """
    with _listening(lambda context: not getattr(context, "of_template", False)) as tracker:
        yield tracker


@contextmanager
def _listening(
    concerns: Callable[[Any], bool], on_executed: OnExecuted | None = None
) -> Iterator[Tracker]:
    tracker = Tracker(on_executed)
    _SWITCHBOARD.add(tracker, concerns)
    try:
        yield tracker
    finally:
        _SWITCHBOARD.remove(tracker)


class _Switchboard:
    """Knows who tracks which context, and which invocations are under way on which thread."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._trackers: dict[Tracker, Callable[[Any], bool]] = {}
        self._under_way: dict[tuple[int, int], Invocation] = {}
        self._replaced: dict[str, tuple[Any, Any]] = {}

    def add(self, tracker: Tracker, concerns: Callable[[Any], bool]) -> None:
        with self._lock:
            if not self._trackers:
                self._replace_methods()
            self._trackers[tracker] = concerns

    def remove(self, tracker: Tracker) -> None:
        with self._lock:
            del self._trackers[tracker]
            if not self._trackers:
                self._restore_methods()

    def _replace_methods(self) -> None:
        # Where a test is the first to import SQLMesh, what that warns of is not the test's.
        check_imported("sqlmesh.core.context")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from sqlmesh.core.context import GenericContext

        # All of them first: a SQLMesh without one of them is left as it is.
        originals = {name: vars(GenericContext)[name] for name in REPLACED}
        for name, original in originals.items():
            make = self._scheduling if name == "create_scheduler" else self._tracking
            self._replaced[name] = original, make(name, original)
            setattr(GenericContext, name, self._replaced[name][1])

    def _restore_methods(self) -> None:
        from sqlmesh.core.context import GenericContext

        for name, (original, wrapper) in self._replaced.items():
            # What somebody else put over the wrapper is theirs to take away; it passes through.
            if vars(GenericContext)[name] is wrapper:
                setattr(GenericContext, name, original)
        self._replaced.clear()

    def _scheduling(self, _: str, original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def create_scheduler(context: Any, *args: Any, **kwargs: Any) -> Any:
            scheduler = original(context, *args, **kwargs)
            invocation = self._under_way.get(_key(context))
            if invocation:
                invocation.attach(scheduler)
            return scheduler

        return create_scheduler

    def _tracking(self, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def call(context: Any, *args: Any, **kwargs: Any) -> Any:
            outer = self._under_way.get(_key(context))
            trackers = self._trackers_of(context)
            if outer is None and trackers:
                return self._track(name, original, trackers, context, args, kwargs)
            if outer is not None and name == "apply":
                outer.planned(_first(args, kwargs, "plan"))
            return original(context, *args, **kwargs)

        return call

    def _trackers_of(self, context: Any) -> list[Tracker]:
        with self._lock:
            return [tracker for tracker, concerns in self._trackers.items() if concerns(context)]

    def _track(
        self,
        name: str,
        original: Callable[..., Any],
        trackers: list[Tracker],
        context: Any,
        args: Any,
        kwargs: Any,
    ) -> Any:
        kind = AuditInvocation if name == "audit" else Invocation
        invocation = kind(
            context,
            _COMMANDS[name],
            _arguments(original, args, kwargs),
            cancelled=lambda: any(tracker._cancelled.is_set() for tracker in trackers),
            on_executed=[t._on_executed for t in trackers if t._on_executed],
        )
        if name == "apply":
            invocation.planned(_first(args, kwargs, "plan"))
        try:
            with self._while_under_way(invocation, context), invocation.listen():
                try:
                    result = original(context, *args, **kwargs)
                except BaseException as error:
                    invocation.raised(error)
                    raise
                invocation.returned(result)
                return result
        finally:
            tracked = Tracked(invocation)
            for tracker in trackers:
                tracker._tracked.append(tracked)

    @contextmanager
    def _while_under_way(self, invocation: Invocation, context: Any) -> Iterator[None]:
        key = _key(context)
        with self._lock:
            for (other, _), under_way in self._under_way.items():
                if other == key[0]:
                    message = "two threads used one context at the same time"
                    invocation.fault(message)
                    under_way.fault(message)
            self._under_way[key] = invocation
        try:
            yield
        finally:
            with self._lock:
                del self._under_way[key]


def _key(context: Any) -> tuple[int, int]:
    return id(context), threading.get_ident()


def _first(args: Any, kwargs: Any, name: str) -> Any:
    return args[0] if args else kwargs.get(name)


def _arguments(original: Callable[..., Any], args: Any, kwargs: Any) -> dict[str, Any]:
    """What the caller passed, by name; the plan of `apply` is not an argument to show."""
    try:
        passed = dict(signature(original).bind(None, *args, **kwargs).arguments)
    except TypeError:
        # The call does not fit the signature; SQLMesh will say so.
        passed = kwargs
    hidden = ("self", "plan", "circuit_breaker")
    return {name: _plain(value) for name, value in passed.items() if name not in hidden}


def _plain(value: Any) -> Any:
    """A copy of the value as JSON can hold it; what is no plain value as text."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, set | frozenset):
        return sorted(map(_plain, value), key=str)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    # A model or a snapshot, by its name.
    return str(getattr(value, "fqn", None) or getattr(value, "name", None) or value)


_SWITCHBOARD = _Switchboard()
