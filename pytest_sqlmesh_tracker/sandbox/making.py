"""Makes sandboxes for the tests and fixtures of one scope, and ends those that are still open."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from sqlmesh.core.config import Config

from pytest_sqlmesh_tracker.reports.report import RunReport
from pytest_sqlmesh_tracker.sandbox.databases.raw_data import Setup
from pytest_sqlmesh_tracker.sandbox.templates.cache import Templates
from pytest_sqlmesh_tracker.sandbox.templates.template import Template
from pytest_sqlmesh_tracker.tracking.tracker import Tracker

from .in_force import none_in_force
from .options import SandboxError, project_options
from .sandbox import Sandbox


@dataclass(frozen=True)
class Defaults:
    """What sandboxes are made of unless the caller passes something else.

    Attributes:
        arguments: the arguments of the marker `sqlmesh_project`.
        path: finds the project if no argument names one.
        config: a configuration to use instead of the project's own.
        setup: a function that loads raw data before the plan.
    """

    arguments: Mapping[str, Any]
    path: Callable[[], str]
    config: Config | str | None = None
    setup: Setup | None = None


class Sandboxes(Protocol):
    """What the fixtures `sqlmesh_sandboxes` and `sqlmesh_project_factory` are: called, they make a
    sandbox."""

    def __call__(
        self,
        path: Any = None,
        *,
        config: Config | str | None = None,
        setup: Any = None,
        **options: Any,
    ) -> Sandbox:
        """Make a sandbox, which a `with` block or the end of the fixture's scope closes.

        Args:
            path: the project's folder, or a list of folders.
            config: a SQLMesh `Config`, or the name of one in the project's `config.py`.
            setup: SQL files, as in the marker, or a function that is called with a connection.
            options: the other arguments of the marker `sqlmesh_project`.

        Raises:
            SandboxError: an option is not valid, or the project can't be planned.
        """


@dataclass(repr=False)
class SandboxMaker:
    """The sandboxes of one scope; called, it makes one.

    Attributes:
        name: the fixture, for messages.
        returned: receives the reports that sandboxes have returned.
        apart: whether only its own tracker tracks each sandbox.
    """

    name: str
    templates: Templates
    defaults: Defaults
    returned: Callable[[RunReport], None]
    apart: bool = False
    _open: dict[Sandbox, None] = field(default_factory=dict)
    _used: dict[int, Template] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<{self.name}>"

    def __call__(
        self,
        path: Any = None,
        *,
        config: Config | str | None = None,
        setup: Any = None,
        **options: Any,
    ) -> Sandbox:
        """Make a sandbox, as `Sandboxes` describes it."""
        __tracebackhide__ = True
        if callable(setup):
            options["setup"], function = None, setup
        else:
            options["setup"], function = setup, self.defaults.setup
        options["path"] = path
        passed = {name: value for name, value in options.items() if value is not None}
        try:
            template = self._template(passed, config or self.defaults.config, function)
            return Sandbox(template, self, apart=self.apart)
        except SandboxError as error:
            # Its message is complete, and the way to it is not the test's own.
            raise error.with_traceback(None) from None

    def kept_apart(self) -> SandboxMaker:
        """The same, but only its own tracker tracks each sandbox: the test sees no reports."""
        return replace(self, apart=True, returned=lambda _report: None)

    def of_test(self, tracker: Tracker) -> Sandbox:
        """Make the test's own sandbox, which is in force until it is closed.

        Args:
            tracker: a tracker of all contexts.

        Raises:
            SandboxError: an option is not valid, or the project can't be planned.
        """
        template = self._template({}, self.defaults.config, self.defaults.setup)
        return Sandbox(template, self, tracker, between_calls=True)

    def _template(
        self, passed: Mapping[str, Any], config: Config | str | None, setup: Setup | None
    ) -> Template:
        options = project_options({**self.defaults.arguments, **passed}, self.name)
        if not options.paths:
            options = replace(options, paths=(self.defaults.path(),))
        # A project is planned as if no other sandbox existed.
        with none_in_force():
            template = self.templates.get(options, config, setup)
        self._used[id(template)] = template
        return template

    def hints_on(self, reports: Iterable[RunReport]) -> list[str]:
        """Paragraphs that help to understand the failures in these reports."""
        reports = list(reports)
        return [hint for template in self._used.values() for hint in template.hints_on(reports)]

    def new_folder(self) -> Path:
        """An empty folder."""
        return self.templates.new_folder()

    def opened(self, sandbox: Sandbox) -> None:
        """Remember a sandbox that was made."""
        self._open[sandbox] = None

    def closed(self, sandbox: Sandbox) -> None:
        """Forget a sandbox that was closed."""
        self._open.pop(sandbox, None)

    def close(self, *, warn: bool) -> None:
        """Close all sandboxes that are open, the latest first.

        Args:
            warn: whether to warn of faults that never struck.
        """
        with ExitStack() as stack:
            for sandbox in self._open:
                stack.callback(sandbox.close, warn=warn)
