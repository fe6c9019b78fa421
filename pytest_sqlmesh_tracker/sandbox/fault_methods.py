"""What a sandbox can do with models: let them fail, and hold them back."""

from __future__ import annotations

from typing import Any

from pytest_sqlmesh_tracker.models.index import UnknownModelError
from pytest_sqlmesh_tracker.outcomes.vocabulary import ONLY_AUDITED_KINDS
from pytest_sqlmesh_tracker.sandbox.data.models import ProjectModel, index_of
from pytest_sqlmesh_tracker.suggestions import did_you_mean
from pytest_sqlmesh_tracker.tracking.project.nodes import audit_names, project_nodes

from .context import SandboxContext
from .faults import Fault, Faults, InjectedError
from .options import SandboxError

_FAILED = "failed by the test"


class FaultMethods:
    """The methods of a sandbox that let models fail, and hold them back."""

    context: SandboxContext
    _faults: Faults

    def fail(
        self,
        model: object,
        *,
        error: str | Exception | type[Exception] | None = None,
        audit: str | None = None,
        batch: int | None = None,
        times: int | None = None,
        after_write: bool = False,
    ) -> None:
        """Make a model fail whenever it is evaluated, until `times` of its batches have failed.

        Args:
            model: a name, a glob (each match fails), or a SQLMesh model or snapshot.
            error: the exception to raise instead of evaluating the model, its class, or a message.
            audit: the name of one of the model's audits, which then finds a row after the model was
                evaluated. For a standalone audit, pass only its own name, as `model`.
            batch: fail only this batch of an invocation, counted from 0.
            times: the number of batches of each model that fail; None means all.
            after_write: let the model fail after its rows were written, as if the connection were
                lost then: the interval is not recorded. Otherwise, it fails before.

        Raises:
            UnknownModelError: the project does not have this model, or the model lacks this audit.
            SandboxError: SQLMesh never evaluates the model; `audit` is passed together with `error`
                or `after_write`; `error` is neither a message nor an `Exception`; or `batch` or
                `times` is not an integer, or too small.
        """
        __tracebackhide__ = True
        models = self._models(model)
        if error is not None and audit is not None:
            raise SandboxError("fail() takes an error or an audit, not both")
        if after_write and (audit is not None or all(each.kind == "audit" for each in models)):
            raise SandboxError(
                "fail(): after_write can't be combined with an audit, which always runs after the "
                "rows were written"
            )
        if not _is_failure(error):
            raise SandboxError(f"fail(): error must be a message or an Exception, not {error!r}")
        for name, number, least in (("batch", batch, 0), ("times", times, 1)):
            if number is not None and not (isinstance(number, int) and number >= least):
                raise SandboxError(f"fail(): {name} must be an integer >= {least}, not {number!r}")
        kinds = {each.kind for each in models}
        if kinds == {"audit"} and audit is None:
            (audit,) = audit_names(self._nodes[models[0].fqn]).values()
        elif audit is None:
            self._check_evaluated(models, "use audit= for one of its audits")
        else:
            audit = self._audit_of(models, audit)
        raised = error if isinstance(error, Exception | type) else InjectedError(error or _FAILED)
        names = {each.fqn: each.name for each in models}
        self._faults.add(Fault(names, raised, audit, batch, times, after_write))

    def hold(self, model: object) -> None:
        """Hold a model back, as a signal `held_by_test` that is never ready would.

        Raises:
            UnknownModelError: the project does not have this model.
            SandboxError: SQLMesh never evaluates the model.
        """
        __tracebackhide__ = True
        models = self._models(model)
        self._check_evaluated(models, "hold the models that read it")
        self._faults.held.update(each.fqn for each in models)

    def release(self, model: object) -> None:
        """Stop holding a model back.

        Raises:
            UnknownModelError: the project does not have this model.
        """
        __tracebackhide__ = True
        self._faults.held.difference_update(each.fqn for each in self._models(model))

    def _models(self, model: object) -> list[ProjectModel]:
        """The models of this project that match a name, a glob or a SQLMesh object."""
        __tracebackhide__ = True
        return index_of(self.context).matching(model)

    def clear_faults(self) -> None:
        """Remove all faults, and release all models that are held back."""
        self._faults.clear()

    @property
    def _nodes(self) -> dict[str, Any]:
        """Models and standalone audits, by fully qualified name."""
        return project_nodes(self.context)

    def _check_evaluated(self, models: list[ProjectModel], way_out: str) -> None:
        __tracebackhide__ = True
        for model in models:
            if model.kind in ONLY_AUDITED_KINDS:
                kind = "a standalone audit" if model.kind == "audit" else model.kind
                raise SandboxError(
                    f"SQLMesh never evaluates {model.name}, which is {kind}; {way_out}"
                )

    def _audit_of(self, models: list[ProjectModel], audit: str) -> str:
        __tracebackhide__ = True
        name = audit.lower()
        for model in models:
            names = audit_names(self._nodes[model.fqn])
            shown_names = set(names.values())
            if name not in names and name not in shown_names:
                has = f"it has {', '.join(sorted(shown_names)) or 'none'}"
                hint = did_you_mean(audit, shown_names, has)
                raise UnknownModelError(f"{model.name} has no audit {audit!r}: {hint}")
            name = names.get(name, name)
        return name


def _is_failure(error: Any) -> bool:
    # Only an `Exception` fails a model in each SQLMesh version. Others, such as KeyboardInterrupt,
    # interrupt a run, but not in every version if they are raised on one of several threads.
    if isinstance(error, type):
        return issubclass(error, Exception)
    return error is None or isinstance(error, str | Exception)
