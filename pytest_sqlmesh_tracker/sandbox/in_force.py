"""What the process sees of a sandbox while it is in use: its time, variables and modules.

A process has one clock, one set of environment variables and one `sys.modules`, so only one sandbox
is in force at a time: during each of its calls, and between the calls if a test requests it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from types import ModuleType

from pytest_sqlmesh_tracker.process.state import SettingsChanges, project_modules

from .clock import OTHER_CLOCK, Clock, check_not_frozen
from .options import SandboxError


class Surroundings:
    """What the process sees of one sandbox."""

    def __init__(self, clock: Clock, settings: SettingsChanges, shown: str = "a sandbox") -> None:
        """Show nothing yet.

        Args:
            settings: the environment variables and the entries of `sys.path`.
            shown: the sandbox in messages.
        """
        self.clock = clock
        self.closed = False
        self._settings = settings
        self.shown = shown
        self._modules: Mapping[str, ModuleType] = {}
        self._hiding = ExitStack()
        # Whether the sandbox was made while another clock was in effect; None before.
        self._within_other_clock: bool | None = None

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Be in force inside the `with` block, a call of the sandbox.

        Raises:
            SandboxError: another thread uses another sandbox; the sandbox is closed; or freezegun
                or time-machine shows another time to the process.
        """
        __tracebackhide__ = True
        self.check_open()
        with _PROCESS.showing(self):
            yield

    def check_open(self) -> None:
        """Reject using the sandbox after its end.

        Raises:
            SandboxError: the sandbox is closed.
        """
        __tracebackhide__ = True
        if self.closed:
            raise SandboxError(f"{self.shown} is closed: it can't be used any more")

    def stay(self) -> None:
        """Be in force until `close`, also between calls; other sandboxes only interrupt it."""
        _PROCESS.keep(self)

    def close(self) -> None:
        """Be in force no longer."""
        self.closed = True
        _PROCESS.remove(self)

    def show(self) -> None:
        """Show everything to the process. Only the process's list of sandboxes calls this."""
        __tracebackhide__ = True
        import time_machine

        travelling = time_machine.escape_hatch.is_travelling()
        if self._within_other_clock is None:
            self._within_other_clock = travelling
        elif travelling and not self._within_other_clock:
            raise SandboxError(OTHER_CLOCK)
        with ExitStack() as stack:
            stack.enter_context(self._settings.applied())
            self.clock.start()
            stack.callback(self.clock.stop)
            stack.callback(self._take_modules)
            project_modules.install(self._modules)
            self._hiding = stack.pop_all()

    def hide(self) -> None:
        """Restore the process."""
        self._hiding.close()

    def _take_modules(self) -> None:
        self._modules = project_modules.installed
        project_modules.remove()


@contextmanager
def none_in_force() -> Iterator[None]:
    """Let the process see its own time, variables and modules inside the `with` block."""
    __tracebackhide__ = True
    with _PROCESS.showing(None):
        yield


@dataclass(eq=False)
class _Entry:
    """A sandbox that is in force unless a later one is; None stands for the process itself.

    Attributes:
        threads: the threads of its calls, one for each call.
        stays: whether it is also in force between calls.
    """

    surroundings: Surroundings | None
    threads: list[int] = field(default_factory=list)
    stays: bool = False


class _Process:
    """The sandboxes that are in use, or stay in force. The latest is in force."""

    def __init__(self) -> None:
        self._entries: list[_Entry] = []
        self._lock = threading.RLock()

    @contextmanager
    def showing(self, surroundings: Surroundings | None) -> Iterator[None]:
        """Let the process see these surroundings inside the `with` block."""
        __tracebackhide__ = True
        thread = threading.get_ident()
        with self._lock:
            entry = self._latest(surroundings, thread)
            entry.threads.append(thread)
        try:
            yield
        finally:
            with self._lock:
                # Unless the sandbox was closed meanwhile.
                if thread in entry.threads:
                    entry.threads.remove(thread)
                self._show_latest_used()

    def keep(self, surroundings: Surroundings) -> None:
        """Keep these surroundings in force between calls."""
        with self._lock:
            self._latest(surroundings, threading.get_ident()).stays = True

    def remove(self, surroundings: Surroundings) -> None:
        """Forget surroundings, even if a thread that was abandoned is in a call."""
        with self._lock:
            for entry in self._entries:
                if entry.surroundings is surroundings:
                    entry.stays = False
                    entry.threads = []
            self._show_latest_used()

    def _latest(self, surroundings: Surroundings | None, thread: int) -> _Entry:
        """The entry of these surroundings, which are in force from now on."""
        __tracebackhide__ = True
        before = self._entries[-1] if self._entries else None
        if before and before.surroundings is surroundings:
            return before
        if before and any(other != thread for other in before.threads):
            uses = before.surroundings.shown if before.surroundings else "a template"
            raise SandboxError(
                f"another thread is using {uses}: sandboxes set the clock of the whole process, so "
                "two threads can't use two of them at once"
            )
        if surroundings is not None:
            check_not_frozen()
        if before and before.surroundings:
            before.surroundings.clock.check()
            before.surroundings.hide()
        entry = _Entry(surroundings)
        try:
            if surroundings is not None:
                surroundings.show()
        except BaseException:
            if before and before.surroundings:
                before.surroundings.show()
            raise
        self._entries.append(entry)
        return entry

    def _show_latest_used(self) -> None:
        """Forget the latest entries that are not used any more, and show the one before."""
        changed = False
        while self._entries and not (self._entries[-1].threads or self._entries[-1].stays):
            ended = self._entries.pop()
            if ended.surroundings and not changed:
                ended.surroundings.hide()
            changed = True
        if changed and self._entries and (latest := self._entries[-1].surroundings):
            latest.show()


_PROCESS = _Process()
