"""The resource with which assets run SQLMesh."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Optional

import dagster as dg
from pydantic import Field, PrivateAttr

from pytest_sqlmesh_tracker.dagster.definitions.between import Between
from pytest_sqlmesh_tracker.dagster.definitions.metadata import MODEL
from pytest_sqlmesh_tracker.dagster.definitions.naming import STATUS_CHECK
from pytest_sqlmesh_tracker.dagster.definitions.ops import assets_of_op
from pytest_sqlmesh_tracker.dagster.definitions.specs import ProjectAssets
from pytest_sqlmesh_tracker.dagster.events.history import (
    Told,
    latest_evaluation,
    standing_faults,
    told_by,
)
from pytest_sqlmesh_tracker.dagster.events.telling import Event, Telling
from pytest_sqlmesh_tracker.dagster.running.asking import DUE_ONLY, Asked, asked_of, run_config
from pytest_sqlmesh_tracker.dagster.running.failing import failure_before
from pytest_sqlmesh_tracker.dagster.running.invocation import Limits, SqlmeshInvocation
from pytest_sqlmesh_tracker.models.index import UnknownModelError

from .project import SqlmeshProject


class SqlmeshResource(dg.ConfigurableResource[Any]):
    """Runs and plans the environments of a SQLMesh project."""

    project: SqlmeshProject
    """The SQLMesh project."""
    longest_wait: Optional[float] = Field(  # noqa: UP045 - Dagster reads the annotation
        default=None,
        ge=0,
        description="Seconds for which a run waits while a plan of its environment is not "
        "finished; then the step fails. As SQLMesh is configured, if not given.",
    )
    drain_timeout: Optional[float] = Field(  # noqa: UP045
        default=Limits.drain_timeout,
        ge=0,
        description="Seconds for which a step that is to end waits for the batches under way; then "
        "it leaves SQLMesh behind. With null, for as long as they take.",
    )

    _bound_to: Any = PrivateAttr(default=None)
    """A context to use as long as it lasts, instead of a new one: that of a test's sandbox."""
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

    def ask(self, question: str, *, timeout: float = 50, **arguments: Any) -> Any:
        """Let SQLMesh answer a question about an environment, in a process of its own.

        Args:
            question: one of the questions that the package knows.
            timeout: the number of seconds to wait for the answer; Dagster ends a tick after 60.
            arguments: the arguments of the question.

        Raises:
            BusyError: another process has the database open.
            ProjectError: the project does not exist, or does not answer; the message is one line.
        """
        if self._bound_to is not None:
            from pytest_sqlmesh_tracker.tracking.project.opening import in_one_line
            from pytest_sqlmesh_tracker.tracking.queries.process import answer

            with in_one_line(self.project.paths, "does not answer"):
                return answer(self._bound_to, question, arguments)
        return self.project.ask(question, timeout=timeout, **arguments)

    def teardown_after_execution(self, context: Any) -> None:  # noqa: ARG002
        """End the invocations that Dagster did not read to their end. Dagster calls it."""
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

        The run happens while its `stream()` is read. Upstream models that are not selected do not
        run, unless `no_auto_upstream=False` is passed.

        Args:
            context: the context of the op.
            environment: the environment's name; None means that of the assets.
            fail_on_unknown: whether the step fails if the tracker can't determine what happened to
                a model.
            arguments: the arguments of SQLMesh's `Context.run`; they take precedence over Dagster's
                selection and run config.

        Raises:
            DagsterInvariantViolationError: `sqlmesh_assets` did not make the op.
            Failure: the run config is not valid.
        """
        return _Step(context, environment).invocation("run", self, arguments, fail_on_unknown)

    def plan(
        self,
        *,
        context: Any,
        environment: str | None = None,
        fail_on_unknown: bool = False,
        **arguments: Any,
    ) -> SqlmeshInvocation:
        """Plan the assets' environment and apply the plan: for a first deployment, or for `dev`.

        The plan happens while its `stream()` is read. The arguments are those of `run`, and those
        of SQLMesh's `Context.plan`.

        Raises:
            DagsterInvariantViolationError: `sqlmesh_assets` did not make the op.
            Failure: the run config is not valid.
        """
        return _Step(context, environment).invocation("plan", self, arguments, fail_on_unknown)


class _Step:
    """A Dagster step: of which assets it is, and what of them is selected."""

    def __init__(self, context: Any, environment: str | None) -> None:
        assets = assets_of_op(context.op_def)
        if assets is None:
            raise dg.DagsterInvariantViolationError(
                f"{context.op_def.name} is no op of @sqlmesh_assets: pass the context of one"
            )
        self._context = context
        self.assets: ProjectAssets = assets
        self.environment = environment or assets.environment
        keys = context.selected_asset_keys
        # Keys can have been given a prefix since the assets were made.
        of_op = context.assets_def.specs_by_key
        self.of_models = {s.metadata[MODEL]: s for s in of_op.values() if MODEL in s.metadata}
        self.keys = {**assets.keys, **{name: spec.key for name, spec in self.of_models.items()}}
        self.specs = {name: spec for name, spec in self.of_models.items() if spec.key in keys}
        self.selected = [model.name for model in assets.models if model.name in self.specs]
        self.before = Told()
        self.called_directly = _is_called_directly(context)
        if not self.called_directly and context.op_execution_context.retry_number:
            self.before = told_by(context.instance, context.run.run_id)

    def invocation(
        self,
        command: str,
        resource: SqlmeshResource,
        arguments: Mapping[str, Any],
        fail_on_unknown: bool,
    ) -> SqlmeshInvocation:
        models = self._asked_for(command)
        telling = Telling(
            assets=self.assets,
            specs=self.specs,
            unannounced={name: self.of_models[name] for name in models if name not in self.specs},
            environment=self.environment,
            keys=self.keys,
            checks=frozenset(self._context.selected_asset_check_keys),
            told_before=self.before.materialized,
            called_directly=self.called_directly,
        )
        keys = [spec.key for spec in self.specs.values()]
        invocation = SqlmeshInvocation if models else _Nothing
        prepared = invocation(
            self._context,
            resource.open,
            self._asked(command, models, arguments),
            telling,
            standing_faults(self._context.instance, keys),
            Limits(resource.longest_wait, resource.drain_timeout),
            fail_on_unknown=fail_on_unknown,
        )
        resource._invocations.append(prepared)
        return prepared

    def _asked_for(self, command: str) -> list[str]:
        due_only = not self.called_directly and DUE_ONLY in self._context.run.tags
        if not due_only or command != "run":
            return self.selected
        if not self.selected:
            return [model.name for model in self.assets.models]
        others = self._not_to_run_here()
        return [model.name for model in self.assets.models if model.name not in others]

    def _not_to_run_here(self) -> set[str]:
        """Of what a run may come to beyond its selection: the models that are not this step's."""
        names = {spec.key: name for name, spec in self.of_models.items()}
        own = frozenset(self.specs[name].key for name in self.selected)
        # They wait for an asset of another op, which may not be materialized before this step.
        waiting = Between.of_step(self._context, names.keys()).own_below - own
        elsewhere = self._context.job_def.asset_layer.executable_asset_keys & names.keys() - own
        if not elsewhere:
            return {names[key] for key in waiting}
        # The op is divided into steps. What is upstream may hold back what this one is to run.
        here = self.assets.upstream_of(self.selected)
        return {
            name
            for key, name in names.items()
            if key not in own and (key in waiting | elsewhere or name not in here)
        }

    def _asked(self, command: str, models: list[str], arguments: Mapping[str, Any]) -> Asked:
        unfinished = self.before.unfinished
        try:
            return asked_of(
                command,
                self.assets,
                models,
                self.environment,
                run_config(self._context),
                arguments,
                unfinished=[name for name, spec in self.specs.items() if spec.key in unfinished],
            )
        except UnknownModelError as error:
            raise failure_before(error) from None


class _Nothing(SqlmeshInvocation):
    """Where only checks are selected: SQLMesh audits what it evaluates, and nothing else."""

    def stream(self) -> Iterator[Event]:
        """Say so, and repeat what SQLMesh did last: of a check that is not evaluated, Dagster would
        no longer show that it failed."""
        self._context.log.info("no asset is selected: SQLMesh is not run, and audits nothing")
        for check in sorted(self._telling.checks):
            told = latest_evaluation(self._context.instance, check)
            if check.name == STATUS_CHECK and told is not None:
                yield told


def _is_called_directly(context: Any) -> bool:
    """Whether a test calls the op's function, with what `build_asset_context` made."""
    # Only that has it: by it, Dagster tells whether the context is in use.
    return hasattr(context, "is_bound")
