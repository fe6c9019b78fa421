"""Records one invocation from start to end: installs what listens to SQLMesh, and removes it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from pytest_sqlmesh_tracker.outcomes.invocation import Command
from pytest_sqlmesh_tracker.process.frozen import is_frozen, perf_counter
from pytest_sqlmesh_tracker.tracking import compat
from pytest_sqlmesh_tracker.tracking.errors.exceptions import described
from pytest_sqlmesh_tracker.tracking.errors.secrets import secrets_of
from pytest_sqlmesh_tracker.tracking.errors.steps import failed_step
from pytest_sqlmesh_tracker.tracking.project.nodes import project_folders, project_nodes
from pytest_sqlmesh_tracker.tracking.sqlmesh_objects import Plan, Scheduler

from .console_events import ConsoleEvents
from .console_proxy import ConsoleProxy, unwrapped
from .facts import failures_in, interrupt_behind, plan_facts
from .journal import Journal, now
from .live import CancelledError, Executions, Hooks, OutcomesSoFar
from .recording import Raised, Recording
from .taps import MethodEvents, Taps
from .waiting import EnvironmentWait


class InvocationRecorder:
    """Records an outermost call of a context's method."""

    def __init__(
        self,
        context: Any,
        command: Command,
        arguments: dict[str, Any],
        hooks: Hooks,
        outcomes_so_far: OutcomesSoFar,
    ) -> None:
        self._context = context
        self._hooks = hooks
        began, self._began = now(), perf_counter()
        self.recording = Recording(
            command=command,
            arguments=arguments,
            environment="",
            started_at=began,
            finished_at=began,
        )
        self.journal = Journal(self.recording)
        self._taps = Taps(self.journal)
        self._methods = MethodEvents(self.journal, self._taps)
        self._console_events = ConsoleEvents(
            self.journal,
            Executions(self.recording, hooks.on_executed, outcomes_so_far),
            admit=self._admit,
            on_applied=lambda: self._methods.attach_state(self._context.state_sync),
        )
        self.waiting = EnvironmentWait(context, self.recording, hooks)
        with self.journal.guarded():
            self.recording.environment = _environment(context, command, arguments)
            self.recording.local_nodes = project_nodes(context)
            self.recording.folders = project_folders(context)
            if not getattr(context, "_loaded", True):
                self.recording.project_files = "not_read"
                self.recording.project_files_note = "the context has not loaded the project"

    # -- start and end -------------------------------------------------------------------------

    @contextmanager
    def listen(self) -> Iterator[None]:
        """Replace the context's console, and restore the original on every exit."""
        proxy: Any = None
        with self.journal.guarded():
            proxy = ConsoleProxy(unwrapped(self._context.console), self._console_events)
            self._context.console = proxy
        try:
            yield
        finally:
            with self.journal.guarded():
                self._close(proxy)

    def _close(self, proxy: Any) -> None:
        # Restore first: the steps that follow can fail.
        self.journal.close()
        self._taps.remove()
        if self._context.console is proxy:
            self._context.console = unwrapped(proxy)
        self._methods.take_compared()
        # By a frozen clock, the invocation would have taken no time.
        elapsed = timedelta(seconds=perf_counter() - self._began)
        self.recording.finished_at = self.recording.started_at + elapsed if is_frozen() else now()
        self.recording.default_catalog = self._context.default_catalog
        with self.journal.lock:
            if self.recording.has_errors:
                self.recording.secrets = secrets_of(self._context)
        self._context = None

    def attach(self, scheduler: Scheduler) -> None:
        """Record the decisions of a scheduler of this invocation."""
        self._methods.attach(scheduler)

    def planned(self, plan: Plan) -> None:
        """Record the plan as it is before it is applied, or as `Context.plan` returned it."""
        if self.recording.plan is None:
            with self.journal.guarded():
                to_restate = compat.selected_to_restate(self._context, plan)
                self.recording.plan = plan_facts(plan, to_restate)
                self.recording.environment = plan.environment_naming_info.name

    def returned(self, result: Any) -> None:
        """Record that the call returned."""
        with self.journal.guarded():
            if self.recording.command == "run":
                self.recording.returned = result.value
            elif self.recording.command == "plan" and result is not None:
                self.planned(result)
            elif self.recording.command == "audit":
                self.recording.returned = "success"

    def raised(self, error: BaseException) -> None:
        """Record that the call raised."""
        if isinstance(error, Exception | KeyboardInterrupt):
            self.waiting.look_after_failure()
        with self.journal.guarded():
            interrupt = interrupt_behind(error)
            ordinary = interrupt is None and not isinstance(error, CancelledError)
            self.recording.raised = Raised(
                kind="error" if ordinary else "interrupt",
                message=described(interrupt or error),
                nodes=tuple(failures_in(error)),
                step=failed_step(error),
            )

    # -- while it is running -------------------------------------------------------------------

    def _admit(self) -> None:
        """Let a batch start, unless the invocation was cancelled."""
        if self.journal.is_open and self.cancelled:
            raise CancelledError

    @property
    def cancelled(self) -> bool:
        """Whether the invocation was cancelled."""
        return self._hooks.cancelled()

    def recording_so_far(self) -> Recording:
        """A copy of the recording so far, as that of an interrupted invocation, which continues."""
        with self.journal.lock:
            recording = self.recording.copied()
            if not self.journal.is_open:
                return recording
            recording.under_way = self._console_events.under_way
            recording.plan = self._methods.compared_plan()
            recording.secrets = secrets_of(self._context)
            if recording.default_catalog is None:
                recording.default_catalog = self._context.default_catalog
        recording.finished_at = now()
        if recording.raised is None:
            abandoned = CancelledError("abandoned before it was finished")
            recording.raised = Raised("interrupt", described(abandoned))
        return recording


def _environment(context: Any, command: str, arguments: dict[str, Any]) -> str:
    from sqlmesh.core.environment import Environment

    name = arguments.get("environment")
    if command == "audit" or not isinstance(name, str):
        name = context.config.default_target_environment
    return Environment.sanitize_name(name)
