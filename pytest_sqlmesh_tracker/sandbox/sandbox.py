"""The sandbox that a test works with: an isolated, planned project, its clock and its faults."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from sqlmesh.utils.errors import ConfigError, LinterError, PlanError

from pytest_sqlmesh_tracker.models.config_files import CONFIG_FILES
from pytest_sqlmesh_tracker.process.frozen import is_frozen
from pytest_sqlmesh_tracker.reports.report import RunReport
from pytest_sqlmesh_tracker.sandbox.data.methods import RowMethods
from pytest_sqlmesh_tracker.sandbox.data.sources import Sources
from pytest_sqlmesh_tracker.sandbox.templates.template import Copy, Template
from pytest_sqlmesh_tracker.tracking.preferences import leave_out
from pytest_sqlmesh_tracker.tracking.tracker import Tracker, sqlmesh_run_tracker

from .clock import Clock, Moment, check_not_frozen, run_times, shown
from .fault_methods import FaultMethods
from .faults import Faults
from .forecasts import ForecastMethods
from .in_force import Surroundings
from .options import SandboxError, StubData

_SELF_EXPLANATORY = (ConfigError, LinterError, PlanError)
"""Errors whose messages explain themselves, without their traceback through SQLMesh."""
_SELECTS = {"select_models", "restate_models", "backfill_models"}


class Home(Protocol):
    """Where sandboxes are made, and what ends those that are still open."""

    def new_folder(self) -> Path:
        """An empty folder."""

    def opened(self, sandbox: Sandbox) -> None:
        """A sandbox was made."""

    def returned(self, report: RunReport) -> None:
        """A sandbox's method has returned a report, so the test has seen no exception."""

    def closed(self, sandbox: Sandbox) -> None:
        """A sandbox was closed."""


class SandboxWarning(UserWarning):
    """A fault that a test requested never struck."""


class Sandbox(FaultMethods, ForecastMethods, RowMethods):
    """An isolated copy of a planned SQLMesh project, with a clock and faults of its own.

    The fixtures `sqlmesh_project`, `sqlmesh_sandboxes` and `sqlmesh_project_factory` make it. Times
    are in UTC. The project itself is never written to. A `with` block closes the sandbox at its
    end; otherwise, its fixture does.
    """

    # Tests do not call this: the reference leaves out constructors without a docstring.
    # It copies the template, or the present state of another sandbox, into a new folder. `tracker`
    # must track the copy's context already, as a tracker of `track_all` does. Only its own tracker
    # tracks a sandbox that is `apart`.
    def __init__(
        self,
        template: Template,
        home: Home,
        tracker: Tracker | None = None,
        *,
        between_calls: bool = False,
        apart: bool = False,
        of: Sandbox | None = None,
    ) -> None:
        self._template = template
        self._home = home
        self._environment = template.options.environment
        self._defaults = {"skip_tests": True} if template.options.select else {}
        self._faults: Faults = of._faults.copy() if of else Faults()
        self._clock: Clock = (
            of._clock.copy()
            if of
            else Clock(template.ready, tick=template.options.tick, since=template.began)
        )
        name = next(iter(template.project.configs)).name
        self._surroundings = Surroundings(
            self._clock, template.settings_changes, f"the sandbox of {name}"
        )
        folder = home.new_folder()
        with ExitStack() as cleanup:
            cleanup.callback(template.take_back, folder)
            cleanup.callback(self._surroundings.close)
            with self._surroundings.in_use():
                self._copy: Copy = template.copied(
                    folder, self._surroundings, self._faults, of=of._copy if of else None
                )
            self._apart: bool = of._apart if of else apart
            if self._apart:
                leave_out(self._copy.context)
            self.context = self._copy.context
            """The SQLMesh `Context` of the copy."""
            own = sqlmesh_run_tracker(self.context) if tracker is None else nullcontext(tracker)
            self.tracker = cleanup.enter_context(own)
            """The `Tracker` of the sandbox; that of `sqlmesh_project` is the fixture
            `sqlmesh_tracker`, which also tracks the test's other sandboxes."""
            if between_calls:
                self._surroundings.stay()
            self._cleanup = cleanup.pop_all()
        home.opened(self)

    def copy(self) -> Sandbox:
        """Copy the sandbox as it stands: its databases, files, clock, faults and holds.

        Afterwards, the two are independent. The copy's tracker has no reports yet. What is not
        committed is not copied, and neither is what code has changed in `context` itself.

        Raises:
            SandboxError: the sandbox is closed, or is running or planning.
        """
        __tracebackhide__ = True
        self._surroundings.check_open()
        return Sandbox(self._template, self._home, of=self)

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.close(warn=kind is None)

    @property
    def path(self) -> Path:
        """The folder that contains the files of this copy; the first one if the project has several
        paths."""
        return Path(self.context.path)

    @property
    def environment(self) -> str:
        """The name of the environment that is planned and run by default."""
        return self._environment

    @property
    def now(self) -> datetime:
        """The time that the sandbox's clock shows, in UTC."""
        return self._clock.now

    @property
    def last_set(self) -> datetime:
        """The time to which the clock was last set, in UTC: by `at` or by `travel`."""
        return self._clock.latest

    def __repr__(self) -> str:
        return f"<sandbox of {self.path.name} at {shown(self.now)}>"

    def travel(self, to: Moment, *, backwards: bool = False) -> None:
        """Set the clock.

        A time that has passed since the clock was last set changes nothing.

        Args:
            to: a time such as "2024-01-09 01:00" (UTC), or a duration to add: "+1h", "+1 day" or a
                `timedelta`.
            backwards: allow an earlier time. What SQLMesh has stored is then in its future.

        Raises:
            SandboxError: the time is in the past, or the value is not a time.
        """
        __tracebackhide__ = True
        self._clock.travel(to, backwards=backwards)

    def plan(
        self, environment: str | None = None, *, at: Moment | None = None, **arguments: Any
    ) -> RunReport:
        """Plan an environment, apply the plan without prompts, and report on it.

        Failed models do not raise an exception: the report lists them.

        Args:
            environment: the environment's name; None means the marker's environment.
            at: the time to set the clock to before, as in `travel`.
            arguments: the arguments of `Context.plan`.

        Raises:
            Exception: SQLMesh raised it for a cause other than failed models.
        """
        __tracebackhide__ = True
        defaults: dict[str, Any] = {"auto_apply": True, "no_prompts": True, **self._defaults}
        selectors = self._template.left_out.select(self.context)
        if selectors and not _SELECTS.intersection(arguments):
            defaults["select_models"] = selectors
        arguments = {**defaults, **arguments}
        return self._reported(self.context.plan, environment, at, arguments)

    def run(
        self, environment: str | None = None, *, at: Moment | None = None, **arguments: Any
    ) -> RunReport:
        """Run an environment, and report on it.

        This works like `plan`, with the arguments of `Context.run`.
        """
        __tracebackhide__ = True
        return self._reported(self.context.run, environment, at, arguments)

    def _reported(
        self,
        call: Callable[..., Any],
        environment: str | None,
        at: Moment | None,
        arguments: dict[str, Any],
    ) -> RunReport:
        __tracebackhide__ = True
        before = len(self.tracker.reports)
        try:
            with self._surroundings.in_use():
                if at is not None:
                    self.travel(at)
                call(environment or self._environment, **arguments)
        except Exception as error:
            reports = self.tracker.reports[before:]
            if not reports or reports[-1].completion != "failure":
                if isinstance(error, _SELF_EXPLANATORY):
                    raise self._shortened(error) from None
                raise
        self._home.returned(self.tracker.last)
        return self.tracker.last

    def run_until(
        self,
        end: Moment,
        *,
        every: str | timedelta,
        environment: str | None = None,
        **arguments: Any,
    ) -> list[RunReport]:
        """Run an environment again and again, and report on each run.

        With a duration, the first run is one duration after the time to which the clock was last
        set, not after what has ticked since. The last run is at `end`, or the latest before it.

        Args:
            end: the latest time of a run, or a duration from the time that was last set.
            every: the duration between two runs, as in `travel`, or a cron in UTC.
            environment: the environment's name; None means the marker's environment.
            arguments: the arguments of `Context.run`.

        Raises:
            SandboxError: no run is due until `end`, or a value is not valid.
            Exception: as for `run`.
        """
        __tracebackhide__ = True
        times = run_times(end, every, since=self._clock.latest)
        return [self.run(environment, at=time, **arguments) for time in times]

    def _shortened(self, error: Exception) -> Exception:
        """The error with the user's paths, and without its traceback through SQLMesh."""
        return self.context.users_paths.in_error(error).with_traceback(None)

    @property
    def hints(self) -> list[str]:
        """Paragraphs that help to understand the failures in the tracker's reports."""
        return self._template.hints_on(self.tracker.reports)

    def execute(self, sql: str) -> None:
        """Execute SQL, in the dialect of the database of the project's gateway.

        Raises:
            SQLMeshError: the SQL would write to a database or a file outside the sandbox.
        """
        __tracebackhide__ = True
        self._executed(sql)

    def fetch(self, sql: str) -> list[tuple[Any, ...]]:
        """Execute a query as `execute` does, and return its rows."""
        __tracebackhide__ = True
        return self._executed(sql)

    def _executed(self, sql: str) -> list[tuple[Any, ...]]:
        __tracebackhide__ = True
        adapter: Any = self.context.engine_adapter
        # A database does not see a clock that a test has frozen for other code.
        in_force = nullcontext() if is_frozen() else self._surroundings.in_use()
        with self._errors_explained(adapter), in_force:
            rows: list[tuple[Any, ...]] = adapter.execute_users(sql)
            return rows

    @property
    def _sources(self) -> Sources:
        return Sources(self.context, self._environment, self._template.arrivals)

    @contextmanager
    def _errors_explained(self, adapter: Any) -> Iterator[None]:
        __tracebackhide__ = True
        try:
            yield
        except adapter.system.errors as error:
            hints = self._template.hints.of(str(error))
            if not hints:
                raise
            raise type(error)("\n\n".join([str(error), *hints])) from None

    def stub(self, model: object, data: Any) -> None:
        """Let a model have this data instead of its query.

        A model that is not stubbed yet changes as by `write`: the next `plan` loads the data. Other
        data of a stubbed model is loaded when SQLMesh next evaluates the model.

        Args:
            model: a name, a glob that matches one model, or SQLMesh's `Model` or `Snapshot`.
            data: a list of mappings, a DataFrame, a file that ends in .csv, .parquet or .json, or a
                query. A relative path starts from pytest's root folder.

        Raises:
            UnknownModelError: the project does not have this model.
            SandboxError: the model is external, a seed or a standalone audit, or the types of its
                columns are unknown; or the data does not fit it.
        """
        __tracebackhide__ = True
        check_not_frozen()
        matching = self._models(model)
        if len(matching) > 1:
            names = ", ".join(each.name for each in matching)
            raise SandboxError(f"stub() requires one model; {model!r} matches {names}")
        (match,) = matching
        with self._errors_explained(self.context.engine_adapter):
            self.context.stub(match.fqn, match.name, StubData.of(data).below(self._template.root))

    def write(self, relative_path: str | os.PathLike[str], text: str) -> None:
        """Write a file of this copy, and reload the project from its files.

        External models that the file declares with columns get empty tables.

        Args:
            relative_path: the file's path below the project's folder.
            text: the new content.

        Raises:
            SandboxError: the path leads outside the project.
            Exception: SQLMesh can't load the file.
        """
        __tracebackhide__ = True
        check_not_frozen()
        self._surroundings.check_open()
        file = (self.path / relative_path).resolve()
        folders = [Path(folder).resolve() for folder in self.context.configs]
        beside = self._copy.folder.resolve() / "project" in file.parents and file.is_file()
        if not (beside or any(folder in file.parents for folder in folders)):
            raise SandboxError(f"write(): {relative_path} must be below the project's folder")
        if file.parent in folders and file.name in (*CONFIG_FILES, ".env"):
            raise SandboxError(
                f"write(): {relative_path} is read once, from the project itself; see variables= "
                "and the fixture sqlmesh_project_config"
            )
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        context = self.context
        with self._surroundings.in_use():
            try:
                context.load()
            except _SELF_EXPLANATORY as error:
                raise self._shortened(error) from None
            context.empty_tables.create(context)

    def close(self, *, warn: bool = True) -> None:
        """Close the databases, delete the files, and restore the process's own time.

        The fixture calls it at the end of the test. Closing a sandbox again has no effect.

        Args:
            warn: whether to warn of faults that never struck.

        Warns:
            SandboxWarning: for each fault that never struck.
        """
        if self._surroundings.closed:
            return
        self._home.closed(self)
        with self._cleanup:
            self.context.close()
        for line in self._faults.never_struck if warn else ():
            warnings.warn(line, SandboxWarning, stacklevel=2)
