"""The resource by which assets run SQLMesh."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Optional

import dagster as dg
from pydantic import Field, PrivateAttr

from pytest_sqlmesh_tracker.dagster.running.invocation import Limits, SqlmeshInvocation
from pytest_sqlmesh_tracker.dagster.running.step import Step
from pytest_sqlmesh_tracker.tracking.queries.messages import Answer, Query, UnfinishedPlan

from .project import SqlmeshProject


class SqlmeshResource(dg.ConfigurableResource[Any]):
    """Runs and plans the environments of a SQLMesh project."""

    project: SqlmeshProject
    """The SQLMesh project."""
    longest_wait: Optional[float] = Field(  # noqa: UP045 - Dagster reads the annotation
        default=None,
        ge=0,
        description="Seconds to wait while a plan of the environment is not finished, before the "
        "step fails. By default, as configured in SQLMesh.",
    )
    drain_timeout: Optional[float] = Field(  # noqa: UP045
        default=Limits.drain_timeout,
        ge=0,
        description="Seconds that an interrupted step waits for batches in progress before it "
        "abandons SQLMesh. With null, it waits until they have finished.",
    )

    report: Optional[str] = Field(  # noqa: UP045
        default=None,
        description="A history to which the report of each step is appended: the path of a .duckdb "
        "file, relative to the current folder. Tests do not append to it.",
    )

    _bound_to: Any = PrivateAttr(default=None)
    """The context of a test's sandbox, to be used instead of a new one."""
    _invocations: list[SqlmeshInvocation] = PrivateAttr(default_factory=list)

    @contextmanager
    def open(self) -> Iterator[Any]:
        """A context manager for a SQLMesh `Context` of the project, which it closes.

        Raises:
            ProjectError: the project does not exist or can't be loaded; the message is one line.
        """
        if self._bound_to is not None:
            yield self._bound_to
            return
        context = self.project.open_context()
        try:
            yield context
        finally:
            context.close()

    def ask(self, query: Query[Answer], *, timeout: float = 50) -> Answer | UnfinishedPlan:
        """Let SQLMesh answer a query about an environment, in a process of its own.

        Args:
            query: the query.
            timeout: the number of seconds to wait for the answer; Dagster ends a tick after 60.

        Raises:
            BusyError: another process has the database open.
            ProjectError: the project does not exist, or does not answer; the message is one line.
        """
        if self._bound_to is not None:
            from pytest_sqlmesh_tracker.tracking.project.opening import in_one_line
            from pytest_sqlmesh_tracker.tracking.queries.answering import answer

            with in_one_line(self.project.paths, "does not answer"):
                return answer(self._bound_to, query)
        return self.project.ask(query, timeout=timeout)

    def teardown_after_execution(self, context: Any) -> None:  # noqa: ARG002
        """Finish the invocations that Dagster did not read to their end. Dagster calls it."""
        for invocation in self._invocations:
            invocation.finish()

    def run(
        self,
        *,
        context: Any,
        environment: str | None = None,
        fail_on_unknown: bool = False,
        **arguments: Any,
    ) -> SqlmeshInvocation:
        """Run the assets' environment: what is due of the selected models.

        The run happens while its `stream()` is read. Upstream models that are not selected do not
        run, unless `no_auto_upstream=False` is passed.

        Args:
            context: the context of the op.
            environment: the environment's name; None means the environment of the assets.
            fail_on_unknown: whether the step fails if the tracker can't determine what happened to
                a model.
            arguments: the arguments of SQLMesh's `Context.run`; they take precedence over Dagster's
                selection and run config.

        Raises:
            DagsterInvariantViolationError: `sqlmesh_assets` did not make the op.
            Failure: the run config, or the gate's policy, is not valid.
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

        The plan happens while its `stream()` is read. The arguments are the same as in `run`,
        with the arguments of SQLMesh's `Context.plan` in place of the arguments of `Context.run`.

        Raises:
            DagsterInvariantViolationError: `sqlmesh_assets` did not make the op.
            Failure: the run config, or the gate's policy, is not valid.
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
            policy_from=self.project.paths[0],
            history=None if self._bound_to is not None else self.report,
            fail_on_unknown=fail_on_unknown,
        )
        self._invocations.append(invocation)
        return invocation
