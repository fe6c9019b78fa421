"""Which invocations are tracked, and by whom.

While anything tracks, `run`, `plan`, `apply` and `audit` of SQLMesh's context class are replaced by
wrappers, and so is `create_scheduler`; with the last tracker gone they are put back.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import wraps
from inspect import signature
from typing import TYPE_CHECKING, Any
from uuid import UUID

from pytest_sqlmesh_tracker.doctor.contract import REPLACED
from pytest_sqlmesh_tracker.outcomes.outcomes import ModelOutcome
from pytest_sqlmesh_tracker.process.frozen import check_imported
from pytest_sqlmesh_tracker.process.sleeping import Sleeps, sleep
from pytest_sqlmesh_tracker.reports.assertions import AssertionMethods
from pytest_sqlmesh_tracker.reports.report import Command, NoReportError, RunReport
from pytest_sqlmesh_tracker.tracking.events.auditing import AuditInvocation
from pytest_sqlmesh_tracker.tracking.events.invocation import Invocation
from pytest_sqlmesh_tracker.tracking.events.live import CancelledError, Hooks, OnExecuted, OnWaiting
from pytest_sqlmesh_tracker.tracking.events.recording import Recording

if TYPE_CHECKING:
    from pytest_sqlmesh_tracker.tracking.queries.project_files import ProjectFiles

_COMMANDS: dict[str, Command] = {"run": "run", "plan": "plan", "apply": "plan", "audit": "audit"}


class Tracked:
    """One invocation that has ended; its report is made when it is first read."""

    def __init__(self, recording: Recording) -> None:
        self.id = recording.id
        self._recording: Recording | None = recording
        self._report: RunReport | None = None
        self._lock = threading.Lock()

    @property
    def report(self) -> RunReport:
        """The invocation's report, always the same object."""
        with self._lock:
            if self._report is None:
                from pytest_sqlmesh_tracker.tracking.reasons.reporting import report_of

                assert self._recording is not None
                self._report = report_of(self._recording)
                self._recording = None
            return self._report

    @property
    def lacks_files(self) -> bool:
        """Whether the context had not loaded the project's files."""
        return self._recording is not None and self._recording.project_files == "not_read"

    def complete(self, files: ProjectFiles | None) -> None:
        """Add what was read of the project's files since, before the report is made.

        Args:
            files: None, if they are not to be read.
        """
        with self._lock:
            recording = self._recording
            assert recording is not None
            if files is None:
                recording.project_files, recording.project_files_note = None, None
                return
            recording.local_nodes = files.nodes
            recording.project_files = "not_read" if files.unread else "read"
            recording.project_files_note = files.unread


class Tracker(AssertionMethods):
    """Collects the invocations made while it is active; readable then and afterwards."""

    def __init__(
        self,
        on_executed: OnExecuted | None = None,
        on_waiting: OnWaiting | None = None,
        longest_wait: float | None = None,
    ) -> None:
        self._tracked: list[Tracked] = []
        self._on_executed = on_executed
        self._on_waiting = on_waiting
        self._longest_wait = longest_wait
        self._cancelled = threading.Event()
        self._lock = threading.Lock()
        self._under_way: list[Invocation] = []
        self._ids: set[UUID] = set()

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

    def complete(self, read: Callable[[], ProjectFiles | None]) -> None:
        """Add the project's files to the invocations whose context had not loaded them.

        Args:
            read: reads them, if there is such an invocation.
        """
        unread = [tracked for tracked in self._tracked if tracked.lacks_files]
        files = read() if unread else None
        for tracked in unread:
            tracked.complete(files)

    def cancel(self) -> None:
        """From any thread: let no further batch begin, in the invocation that goes on or in a later
        one of this tracker.

        Batches under way end, and are recorded. To SQLMesh, those that would begin fail, so `run`
        returns a failure and `plan` raises a `PlanError`; the report says `interrupted` of them,
        and of what waits for them. `Context.audit` raises what stops it, and so does a run that
        waits for its environment. Nothing is undone, and nothing else is cut short: neither signals
        nor the creation of tables.
        """
        self._cancelled.set()

    @property
    def execution_time(self) -> datetime | None:
        """Of the invocation that goes on, in UTC: what its report will say; None between two."""
        from pytest_sqlmesh_tracker.tracking.intervals.loaded import execution_time_of

        for invocation in list(self._under_way):
            return execution_time_of(invocation.recording)
        return None

    def detach(self) -> frozenset[str]:
        """From any thread: hear no more of the invocation that goes on, and have its report as of
        now.

        It is that of an invocation that was interrupted. SQLMesh itself is not stopped: of a batch
        under way the report says `interrupted`, and that it is not known whether it was recorded.
        What comes of it later changes nothing of the report.

        Returns:
            Fully qualified names of the models of which a batch is under way.
        """
        recordings = [invocation.recording_so_far() for invocation in list(self._under_way)]
        for recording in recordings:
            self._add(Tracked(recording))
        return frozenset(name for recording in recordings for name in recording.under_way)

    def _add(self, tracked: Tracked) -> None:
        """Take an invocation, unless it was taken when the tracker was detached from it."""
        with self._lock:
            if tracked.id not in self._ids:
                self._ids.add(tracked.id)
                self._tracked.append(tracked)

    def get_results(self) -> dict[str, list[str]]:
        """`run_models` and `skipped_models`, each sorted."""
        return {
            "run_models": sorted(self.run_models),
            "skipped_models": sorted(self.skipped_models),
        }


@contextmanager
def sqlmesh_run_tracker(
    context: Any,
    *,
    on_executed: OnExecuted | None = None,
    on_waiting: OnWaiting | None = None,
    longest_wait: float | None = None,
) -> Iterator[Tracker]:
    """Track the invocations of one SQLMesh context.

    On every exit all is as it was, whatever order nested trackers end in.

    Args:
        on_executed: is called with a model's outcome as soon as the last batch scheduled for it is
            recorded, once in an invocation, on the thread that evaluated it. What comes later can
            still fail the model: a plan that can't promote its view, a run that is restarted. An
            exception that it raises is logged.
        on_waiting: is called when a run waits for its environment, as it does while a plan of it is
            not finished, with the environment's name and what is known of the plan.
        longest_wait: seconds after which a run that waits raises an `SQLMeshError`; None: as
            SQLMesh is configured, which is six hours by default.

    Raises:
        TypeError: `context` is no SQLMesh context.
    """
    from sqlmesh.core.context import GenericContext

    if not isinstance(context, GenericContext):
        raise TypeError(f"a SQLMesh Context is tracked, not {type(context).__name__}")
    tracker = Tracker(on_executed, on_waiting, longest_wait)
    with _listening(tracker, lambda candidate: candidate is context):
        yield tracker


@contextmanager
def track_all(
    *, on_waiting: OnWaiting | None = None, longest_wait: float | None = None
) -> Iterator[Tracker]:
    """Track the invocations of every SQLMesh context, also of those that are made meanwhile.

    What prepares a sandbox, for any number of tests, is left out. The arguments are those of
    `sqlmesh_run_tracker`.
    """
    tracker = Tracker(None, on_waiting, longest_wait)
    with _listening(tracker, lambda context: not getattr(context, "of_template", False)):
        yield tracker


@contextmanager
def _listening(tracker: Tracker, concerns: Callable[[Any], bool]) -> Iterator[None]:
    _SWITCHBOARD.add(tracker, concerns)
    try:
        yield
    finally:
        _SWITCHBOARD.remove(tracker)


class _Switchboard:
    """Knows who tracks which context, and which invocations are under way on which thread."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._trackers: dict[Tracker, Callable[[Any], bool]] = {}
        self._under_way: dict[tuple[int, int], Invocation] = {}
        self._replaced: dict[str, tuple[Any, Any]] = {}
        self._sleeps = Sleeps(self)

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
        self._sleeps.replace()

    def _restore_methods(self) -> None:
        from sqlmesh.core.context import GenericContext

        for name, (original, wrapper) in self._replaced.items():
            # What somebody else put over the wrapper is theirs to take away; it passes through.
            if vars(GenericContext)[name] is wrapper:
                setattr(GenericContext, name, original)
        self._replaced.clear()
        self._sleeps.restore()

    def wait_for_environment(self, seconds: float) -> None:
        """Sleep, unless the invocation of this thread is to end."""
        thread = threading.get_ident()
        own = [each for (_, of), each in list(self._under_way.items()) if of == thread]
        if own:
            # The latest: code of a signal or of a model can make a context of its own.
            own[-1].waiting.sleep(seconds)
        else:
            sleep(seconds, lambda _: False)

    def pause_between_tries(self, seconds: float) -> None:
        """Sleep, unless all that is under way is to end.

        Raises:
            CancelledError: it is. Workers' threads do not say which invocation they are of.
        """

        def over(_: float) -> bool:
            under_way = list(self._under_way.values())
            if under_way and all(invocation.cancelled for invocation in under_way):
                raise CancelledError("cancelled between two tries")
            return False

        sleep(seconds, over)

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
            _hooks(context, trackers),
        )
        if name == "apply":
            invocation.planned(_first(args, kwargs, "plan"))
        for tracker in trackers:
            tracker._under_way.append(invocation)
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
            tracked = Tracked(invocation.recording)
            for tracker in trackers:
                tracker._add(tracked)
                tracker._under_way.remove(invocation)

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


def _hooks(context: Any, trackers: list[Tracker]) -> Hooks:
    limits = [tracker._longest_wait for tracker in trackers]
    # In a sandbox, nobody is there who could finish a plan.
    limits.append(getattr(context, "longest_wait", None))
    return Hooks(
        outcomes_so_far=_outcomes_so_far,
        cancelled=lambda: any(tracker._cancelled.is_set() for tracker in trackers),
        on_executed=[t._on_executed for t in trackers if t._on_executed],
        on_waiting=[t._on_waiting for t in trackers if t._on_waiting],
        longest_wait=min((limit for limit in limits if limit is not None), default=None),
    )


def _outcomes_so_far(recording: Recording) -> Callable[[str], ModelOutcome]:
    # Explaining imports SQLMesh, and is needed only where somebody listens for executed models.
    from pytest_sqlmesh_tracker.tracking.reasons.reporting import outcomes_so_far

    return outcomes_so_far(recording)


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
