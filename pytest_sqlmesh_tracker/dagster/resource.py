"""The resource by which assets run SQLMesh."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Optional

import dagster as dg
from pydantic import Field, PrivateAttr

from pytest_sqlmesh_tracker.dagster.running.invocation import Limits, SqlmeshInvocation
from pytest_sqlmesh_tracker.dagster.running.step import Step

from .project import SqlmeshProject


class SqlmeshResource(dg.ConfigurableResource[Any]):
    """Runs and plans the environments of a SQLMesh project."""

    project: SqlmeshProject
    longest_wait: Optional[float] = Field(  # noqa: UP045 - Dagster reads the annotation
        default=None,
        ge=0,
        description="Seconds to wait while a plan of the environment is not finished, before the "
        "step fails. By default, as SQLMesh is configured.",
    )
    drain_timeout: Optional[float] = Field(  # noqa: UP045
        default=Limits.drain_timeout,
        ge=0,
        description="Seconds that a step which is to end waits for the batches under way, before "
        "it leaves SQLMesh behind. With null, it waits until they have ended.",
    )

    _bound_to: Any = PrivateAttr(default=None)
    """A context to use instead of a new one: that of a test's sandbox."""
    _invocations: list[SqlmeshInvocation] = PrivateAttr(default_factory=list)

    @contextmanager
    def open(self) -> Iterator[Any]:
        """Open a SQLMesh `Context` on the project, and close it afterwards.

        Raises:
            ProjectError: there is no project, or it can't be loaded; one line says why.
        """
        if self._bound_to is not None:
            yield self._bound_to
            return
        context = self.project.open_context()
        try:
            yield context
        finally:
            context.close()

    def ask(self, question: str, *, timeout: float = 50, **arguments: Any) -> Any:
        """Ask SQLMesh about an environment, in a process of its own.

        Args:
            timeout: seconds to wait for the answer. Dagster ends a tick after 60.

        Raises:
            BusyError: another process has the database.
            ProjectError: there is no project, or no answer; one line says why.
        """
        if self._bound_to is not None:
            from pytest_sqlmesh_tracker.tracking.project.opening import told
            from pytest_sqlmesh_tracker.tracking.queries.process import answer

            with told(self.project.paths, "does not answer"):
                return answer(self._bound_to, question, arguments)
        return self.project.ask(question, timeout=timeout, **arguments)

    def teardown_after_execution(self, context: Any) -> None:  # noqa: ARG002
        """End the invocations that Dagster was interrupted in before it read all their events."""
        for invocation in self._invocations:
            invocation.leave()

    def run(
        self,
        *,
        context: Any,
        environment: str | None = None,
        fail_on_unknown: bool = False,
        **arguments: Any,
    ) -> SqlmeshInvocation:
        """Run the assets' environment: what is due of the selected models.

        It happens when its `stream()` is read. Models upstream that are not selected do not run,
        unless `no_auto_upstream=False` is passed.

        Args:
            context: the context of the op.
            environment: that of the assets, if None.
            fail_on_unknown: whether models with the status `unknown` fail the step as well.
            arguments: those of SQLMesh's `Context.run`; they take precedence over Dagster's
                selection and run config.

        Raises:
            DagsterInvariantViolationError: `sqlmesh_assets` did not make the op.
            Failure: the run config has models that do not exist.
        """
        return self._invocation("run", context, environment, arguments, fail_on_unknown)

    def plan(
        self,
        *,
        context: Any,
        environment: str | None = None,
        fail_on_unknown: bool = False,
        **arguments: Any,
    ) -> SqlmeshInvocation:
        """Plan the assets' environment and apply the plan: for a first deployment, or for `dev`.

        It happens when its `stream()` is read. Arguments are those of `run`, and of SQLMesh's
        `Context.plan` instead of `Context.run`. It raises the same.
        """
        return self._invocation("plan", context, environment, arguments, fail_on_unknown)

    def _invocation(
        self,
        command: str,
        context: Any,
        environment: str | None,
        arguments: dict[str, Any],
        fail_on_unknown: bool,
    ) -> SqlmeshInvocation:
        invocation = Step(context, environment).invocation(
            command,
            arguments,
            self.open,
            Limits(self.longest_wait, self.drain_timeout),
            fail_on_unknown=fail_on_unknown,
        )
        self._invocations.append(invocation)
        return invocation
