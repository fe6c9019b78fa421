"""The SQLMesh context of a sandbox."""

from __future__ import annotations

import inspect
from copy import deepcopy
from dataclasses import dataclass
from functools import wraps
from typing import Any

from sqlmesh import Context
from sqlmesh.core.snapshot import Snapshot, SnapshotEvaluator, SnapshotId
from sqlmesh.core.snapshot.cache import SnapshotCache
from sqlmesh.utils import UniqueKeyDict
from sqlmesh.utils.dag import DAG
from sqlmesh.utils.errors import LinterError, PlanError

from pytest_sqlmesh_tracker.sandbox.data.stubs import Stubs
from pytest_sqlmesh_tracker.sandbox.databases.connections import Connections
from pytest_sqlmesh_tracker.sandbox.databases.externals import EmptyTables
from pytest_sqlmesh_tracker.sandbox.files.copies import UsersPaths
from pytest_sqlmesh_tracker.sandbox.problems.checks import linter_message, unit_test_message
from pytest_sqlmesh_tracker.tracking.preferences import Preferences, prefer

from .clock import check_not_frozen
from .faults import Faults, FaultyEvaluator
from .in_force import Surroundings
from .options import SandboxError, StubData

SharedSnapshots = dict[SnapshotId, Snapshot | None]
"""The snapshots shared by all copies of a template; None until one of them has read it."""


def _by_own_clock(name: str) -> Any:
    """A method of SQLMesh's context, with its signature, that rejects any other clock."""

    @wraps(getattr(Context, name))
    def call(context: SandboxContext, *args: Any, **kwargs: Any) -> Any:
        check_not_frozen()
        with context.surroundings.in_use(), context.connections.postgres.used():
            context.surroundings.clock.check()
            # Looked up at each call, since trackers replace the method.
            return getattr(super(SandboxContext, context), name)(*args, **kwargs)

    return call


def _in_force(name: str) -> Any:
    """A method of SQLMesh's context, during which the sandbox is in force."""

    @wraps(getattr(Context, name))
    def call(context: SandboxContext, *args: Any, **kwargs: Any) -> Any:
        with context.surroundings.in_use():
            return getattr(super(SandboxContext, context), name)(*args, **kwargs)

    return call


class SandboxContext(Context):
    """A context on a copy of a project, in which models fail as a test requests."""

    def __init__(
        self,
        *,
        connections: Connections,
        surroundings: Surroundings,
        faults: Faults,
        empty_tables: EmptyTables,
        shared_snapshots: SharedSnapshots,
        users_paths: UsersPaths,
        stubs: Stubs | None = None,
        selection: Selection | None = None,
        selectors: tuple[str, ...] = (),
        of_template: bool = False,
        **arguments: Any,
    ) -> None:
        """Make a context that has loaded nothing. `Context` gets the other arguments.

        Args:
            surroundings: what the process sees while one of its methods is called.
            empty_tables: the tables of external models in the databases of the connections.
            users_paths: the paths that messages show instead of the paths of copies.
            stubs: the models that have a test's data instead of their queries.
            selection: the selected part of the project's models, if not all.
            selectors: the selectors that the first load applies, unless `selection` is passed.
            of_template: whether it plans a template. Trackers of all contexts leave it out.
        """
        # A run that would wait for an unfinished plan raises at once: nothing else can finish it.
        prefer(self, Preferences(left_out=of_template, longest_wait=0))
        self.connections = connections
        self.surroundings = surroundings
        self.empty_tables = empty_tables
        self.shared_snapshots = shared_snapshots
        self.selection = selection
        self._selectors = selectors
        self._faults = faults
        self.users_paths = users_paths
        self.stubs = stubs or Stubs({})
        self._test_result: Any = None
        super().__init__(load=False, **arguments)

    run = _by_own_clock("run")
    plan = _by_own_clock("plan")
    apply = _by_own_clock("apply")
    audit = _by_own_clock("audit")

    @property
    def engine_adapter(self) -> Any:
        """The adapter of the selected gateway.

        Raises:
            SandboxError: the sandbox is closed.
        """
        __tracebackhide__ = True
        self.surroundings.check_open()
        return super().engine_adapter

    @property
    def state_sync(self) -> Any:
        """SQLMesh's state.

        Raises:
            SandboxError: the sandbox is closed.
        """
        __tracebackhide__ = True
        self.surroundings.check_open()
        return super().state_sync

    @property
    def used_adapters(self) -> dict[str, Any]:
        """The adapters, by gateway, without those of PostgreSQL databases that no model uses."""
        used = {self.selected_gateway, *(model.gateway for model in self._models.values())}
        return {
            name: adapter
            for name, adapter in self.engine_adapters.items()
            if name in used or name in self.duckdb_adapters
        }

    @property
    def duckdb_adapters(self) -> dict[str, Any]:
        """The adapters of DuckDB files, by gateway."""
        return {n: a for n, a in self.engine_adapters.items() if a.dialect == "duckdb"}

    def load(self, *args: Any, **kwargs: Any) -> SandboxContext:
        """Load the project, or the selected part of it."""
        check_not_frozen()
        with self.surroundings.in_use():
            super().load(*args, **kwargs)
        self._load_stubs()
        if self.selection is None and self._selectors:
            self.selection = Selection.of(self, self._selectors)
        if self.selection is not None:
            self.selection.apply(self)
        return self

    def stub(self, fqn: str, name: str, data: StubData) -> None:
        """Let a model have this data instead of its query.

        Raises:
            SandboxError: the model can't be stubbed, or the data does not fit it. The model is then
                as it was before.
        """
        before = self.stubs
        self.stubs = before.copy()
        self.stubs.add(name, fqn, data)
        try:
            if fqn not in before.fqns:
                self.load()
            self.stubs.fill(self, name)
        except SandboxError:
            self.stubs = before
            if fqn not in before.fqns:
                self.load()
            raise

    def _load_stubs(self) -> None:
        if self.stubs.apply(self):
            self.dag = _dag_of(self._models)
        if hasattr(self, "_model_test_metadata"):
            tests = self._without_tests_of_stubs(self._model_test_metadata)
            self._model_test_metadata[:] = tests

    def load_model_tests(self, *args: Any, **kwargs: Any) -> Any:
        """The unit tests, in versions of SQLMesh that load them when they run."""
        base: Any = super()
        return self._without_tests_of_stubs(base.load_model_tests(*args, **kwargs))

    def _without_tests_of_stubs(self, tests: Any) -> list[Any]:
        fqns = self.stubs.fqns
        return [
            test
            for test in tests
            if not (fqns and self._node_or_snapshot_to_fqn(test.body.get("model", "")) in fqns)
        ]

    def load_copied(self, *, reads_state: bool) -> None:
        """Load a project whose models and schemas are known, without reading its files.

        Args:
            reads_state: whether the state has models of other projects, which SQLMesh adds.
        """
        projects = self._projects
        if not reads_state:
            self._projects = set()
        try:
            self.load(update_schemas=False)
        finally:
            self._projects = projects

    def upsert_model(self, model: Any, **kwargs: Any) -> Any:
        """Update a model. SQLMesh edits the schemas of the models that read it, which copies
        share."""
        for fqn, each in self._models.items():
            own = {"mapping_schema": deepcopy(each.mapping_schema)}
            self._models.update({fqn: each.copy(update=own)})
        return super().upsert_model(model, **kwargs)

    def lint_models(  # type: ignore[override]
        self, models: Any = None, raise_on_error: bool = True, **kwargs: Any
    ) -> Any:
        """Lint models as SQLMesh does.

        Raises:
            LinterError: a rule is violated; the message has the rules, models and files, which
                SQLMesh shows only on its console.
        """
        violations = super().lint_models(models, raise_on_error=False, **kwargs)
        if raise_on_error and any(v.violation_type == "error" for v in violations):
            raise LinterError(self.users_paths.in_text(linter_message(violations)))
        return violations

    def test(self, *args: Any, **kwargs: Any) -> Any:
        """Run the project's unit tests."""
        self._test_result = super().test(*args, **kwargs)
        return self._test_result

    def _run_plan_tests(self, *args: Any, **kwargs: Any) -> Any:
        """Run the unit tests before a plan. An error names the failed tests and what they
        expected."""
        self._test_result = None
        try:
            return super()._run_plan_tests(*args, **kwargs)
        except PlanError as error:
            if self._test_result is None or self._test_result.wasSuccessful():
                raise
            words = self.users_paths.in_text(unit_test_message(self._test_result))
            raise PlanError(f"{words}\n\n{error}") from None

    @property
    def snapshot_evaluator(self) -> SnapshotEvaluator:
        """The evaluator, in which faults strike."""
        if self._snapshot_evaluator is None:
            evaluator = super().snapshot_evaluator
            self._snapshot_evaluator = FaultyEvaluator.like(evaluator, self._faults)
        return self._snapshot_evaluator

    def create_scheduler(self, *args: Any, **kwargs: Any) -> Any:
        """A scheduler for which held models are not ready."""
        scheduler = super().create_scheduler(*args, **kwargs)
        self._faults.hold_back(scheduler)
        return scheduler

    def _new_state_sync(self) -> Any:
        sync: Any = super()._new_state_sync()
        sync.snapshot_state._snapshot_cache = _SnapshotsOfState(self.shared_snapshots)
        return sync

    def close(self) -> None:
        """Close the databases."""
        super().close()
        self.connections.close()


for _name, _ in inspect.getmembers(Context, inspect.isfunction):
    if not _name.startswith("_") and _name not in vars(SandboxContext):
        setattr(SandboxContext, _name, _in_force(_name))


@dataclass(frozen=True)
class Selection:
    """The models of a project that a sandbox has: the selected ones and everything upstream.

    Attributes:
        models: the fully qualified names of the selected models.
        loaded: all models of the project; models that a test adds are also selected.
    """

    models: frozenset[str]
    loaded: frozenset[str]

    @classmethod
    def of(cls, context: Any, selectors: tuple[str, ...]) -> Selection:
        """Select models as SQLMesh does, from all those that a context has loaded."""
        models = context._new_selector().expand_model_selections(selectors)
        return cls(frozenset(models), frozenset(context._models))

    def apply(self, context: Any) -> None:
        """Remove all other models from a context."""
        loaded = frozenset(context._models)
        selected = self.models | (loaded - self.loaded)
        kept = selected.union(*(context.dag.upstream(name) for name in selected if name in loaded))
        if loaded <= kept:
            return
        context._models = _only(context._models, kept)
        context._standalone_audits = UniqueKeyDict(
            "standaloneaudits",
            {n: a for n, a in context._standalone_audits.items() if a.depends_on <= kept},
        )
        context.dag = _dag_of(context._models)


def _dag_of(models: Any) -> DAG[str]:
    dag: DAG[str] = DAG()
    for name, model in models.items():
        dag.add(name, model.depends_on)
    return dag


def _only(models: Any, names: frozenset[str]) -> Any:
    return UniqueKeyDict("models", {name: m for name, m in models.items() if name in names})


class _SnapshotsOfState(SnapshotCache):
    """Snapshots as stored in the state. The template's are read once for all its copies.

    SQLMesh caches them as files. It always reads what can change in a snapshot from the state
    (sqlmesh/core/state_sync/db/snapshot.py, `_get_snapshots`).
    """

    def __init__(self, shared: SharedSnapshots) -> None:
        # Without the files of the base class.
        self._shared = shared
        self._own: dict[SnapshotId, Snapshot] = {}

    def get_or_load(self, snapshot_ids: Any, loader: Any) -> Any:
        """Snapshots by id, and the ids of those that were not loaded from the state."""
        known = {**self._own, **self._shared}
        cached = {s: _fresh(kept) for s in snapshot_ids if (kept := known.get(s)) is not None}
        missing = snapshot_ids - cached.keys()
        loaded = {s.snapshot_id: s for s in loader(missing)} if missing else {}
        for s, snapshot in loaded.items():
            self._update_node_hash_cache(snapshot)
            cache: Any = self._shared if s in self._shared else self._own
            cache[s] = _fresh(snapshot)
        return {**cached, **loaded}, set(cached)

    def put(self, snapshot: Snapshot) -> None:
        """Do nothing: stored snapshots are read from the state."""

    def clear(self) -> None:
        """Forget the snapshots that only this context has read."""
        self._own.clear()


def _fresh(snapshot: Snapshot) -> Snapshot:
    """A copy without its intervals, which are read from the state."""
    return snapshot.copy(
        update={"intervals": [], "dev_intervals": [], "pending_restatement_intervals": []}
    )
