"""What a run of an environment would report now, as data. Does not import SQLMesh."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Literal

from pytest_sqlmesh_tracker.models.graph import reachable
from pytest_sqlmesh_tracker.models.index import ModelIndex
from pytest_sqlmesh_tracker.outcomes.outcome import Outcome
from pytest_sqlmesh_tracker.outcomes.types import Frozen, UtcDatetime
from pytest_sqlmesh_tracker.reports.outcomes import ModelOutcome
from pytest_sqlmesh_tracker.reports.report import RunReport, dumped

from .model_now import ModelNow
from .wording import intervals_of, predicted_paragraph, predicted_sentence

SCHEMA_VERSION: Literal[1] = 1


class PredictedRun(Frozen):
    """What a run of an environment would report at a moment. Nothing was run.

    Everything that SQLMesh would schedule is assumed to succeed, except for what SQLMesh is known
    to reject. Datetimes are timezone-aware and in UTC, intervals are half-open.
    """

    report: RunReport
    """The report of such a run. It begins and ends at the moment; its batches have no duration."""
    signals_called: bool = False
    """Whether signals were called. Otherwise, all models are assumed to be ready."""
    expires_at: UtcDatetime | None = None
    """When the environment expires; None if it does not."""
    now: Mapping[str, ModelNow] = {}
    """Name of a model of the environment → what is known of it now, beside the report."""

    @property
    def environment(self) -> str:
        """The environment's name."""
        return self.report.environment

    @property
    def at(self) -> datetime:
        """The moment of the run, in UTC."""
        return self.report.execution_time

    @property
    def outcomes(self) -> Mapping[str, ModelOutcome]:
        """Name → the outcome that the model would have, in topological order."""
        return self.report.outcomes

    @property
    def unfinished_plan(self) -> str | None:
        """The ID of the environment's plan that is not finished, for which the run would wait."""
        state = self.report.environment_state
        return state.unfinished_plan if state else None

    def __getitem__(self, model: object) -> ModelOutcome:
        """The outcome that one model would have: `predicted["sales.orders"]`.

        Raises:
            UnknownModelError: the name or object means no model, or several.
        """
        __tracebackhide__ = True
        if isinstance(model, str) and model in self.outcomes:
            return self.outcomes[model]
        return self._index().one(model)

    def matching(self, model: object) -> list[ModelOutcome]:
        """The outcomes that a name, an object or a glob means; at least one.

        Raises:
            UnknownModelError: nothing matches, or a name is ambiguous.
        """
        __tracebackhide__ = True
        return self._index().matching(model)

    def _index(self) -> ModelIndex[ModelOutcome]:
        return ModelIndex(self.outcomes.values(), f"{self.environment} or the project")

    def explain(self, model: object) -> str:
        """What would happen to a model, or to each model that a glob matches, and why.

        Raises:
            UnknownModelError: nothing matches, or a name is ambiguous.
        """
        __tracebackhide__ = True
        outcomes = self.matching(model)
        return "\n\n".join(predicted_paragraph(self, outcome) for outcome in outcomes)

    def message(self, model: object) -> str:
        """What would happen to one model, in one line without its name.

        Raises:
            UnknownModelError: the name or object means no model, or several.
        """
        __tracebackhide__ = True
        return predicted_sentence(self.report, self[model])

    def waits_for(self, model: object) -> dict[str, tuple[str, ...]]:
        """The models that would hold a model back → those between the two, the nearest first.

        These are the roots: models whose signals are not ready, or that would fail.

        Raises:
            UnknownModelError: the name or object means no model, or several.
        """
        __tracebackhide__ = True
        outcome = self[model]
        return {root: self._between(outcome, root) for root in outcome.blocked_by}

    def waited_for_by(self, model: object) -> tuple[str, ...]:
        """The models that this model would hold back, itself or by what it waits for, in
        topological order.

        Raises:
            UnknownModelError: the name or object means no model, or several.
        """
        __tracebackhide__ = True
        outcome = self[model]
        roots = {outcome.name, *outcome.blocked_by}
        downstream = reachable([outcome.name], self._children)
        waiting = [o for o in self.outcomes.values() if roots & {*o.blocked_by}]
        return tuple(each.name for each in waiting if each.name in downstream)

    def _children(self, name: str) -> Iterable[str]:
        return (each.name for each in self.outcomes.values() if name in each.upstream)

    def _between(self, outcome: Outcome, root: str) -> tuple[str, ...]:
        """The models on a shortest path from a model to another one upstream."""
        paths: dict[str, tuple[str, ...]] = {outcome.name: ()}
        queue = [outcome.name]
        while queue:
            name = queue.pop(0)
            for parent in self.outcomes[name].upstream:
                if parent == root:
                    return paths[name]
                if parent not in paths:
                    paths[parent] = (*paths[name], parent)
                    queue.append(parent)
        return ()

    def to_dict(self, *models: object) -> dict[str, Any]:
        """The prediction as a dictionary of values that JSON can hold.

        Args:
            models: names, objects or globs, to leave out other models; none for all models.

        Raises:
            UnknownModelError: nothing matches one of them, or a name is ambiguous.
        """
        chosen = [outcome for model in models for outcome in self.matching(model)]
        outcomes = chosen if models else self.outcomes.values()
        return {
            "schema_version": SCHEMA_VERSION,
            "environment": self.environment,
            "at": self.at.isoformat(),
            "signals_called": self.signals_called,
            "unfinished_plan": self.unfinished_plan,
            "expires_at": _time(self.expires_at),
            "models": {outcome.name: self._model(outcome) for outcome in outcomes},
        }

    def _model(self, outcome: Outcome) -> dict[str, Any]:
        now = self.now.get(outcome.name, ModelNow())
        return {
            "status": str(outcome.status),
            "reason": outcome.reason and str(outcome.reason),
            "reasons": [str(reason) for reason in outcome.reasons],
            "cause": outcome.cause and str(outcome.cause),
            "causes": [str(cause) for cause in outcome.causes],
            "intervals": [[_time(each) for each in pair] for pair in intervals_of(outcome)],
            "next_due": _time(outcome.next_due),
            "waiting_since": _time(outcome.waiting_since),
            "blocked_by": list(outcome.blocked_by),
            "loaded_through": _time(now.loaded_through),
            "assumed_ready": list(now.assumed_ready),
            "undetermined_cron": outcome.undetermined_cron,
            "safe_cron": outcome.safe_cron,
            "next_restatement": _time(now.next_restatement),
            "shared_with": list(now.shared_with),
            "message": predicted_sentence(self.report, outcome),
        }

    def to_json(self, *, indent: int | None = None) -> str:
        """The prediction as one JSON object."""
        return dumped(self.to_dict(), indent)


def _time(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()
