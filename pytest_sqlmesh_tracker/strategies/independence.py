"""Asserts that the rows of models do not depend on the history."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from random import randrange
from typing import Any

from hypothesis import HealthCheck, find, settings
from hypothesis.strategies import SearchStrategy

from pytest_sqlmesh_tracker.histories.checking import Checker
from pytest_sqlmesh_tracker.histories.comparing import models_to_compare
from pytest_sqlmesh_tracker.histories.replaying import evaluated_models
from pytest_sqlmesh_tracker.histories.steps import History
from pytest_sqlmesh_tracker.histories.wording import finding_in_words
from pytest_sqlmesh_tracker.sandbox.making import Sandboxes, SandboxMaker
from pytest_sqlmesh_tracker.sandbox.options import SandboxError
from pytest_sqlmesh_tracker.sandbox.sandbox import Sandbox
from pytest_sqlmesh_tracker.wording.formats import short_repr

from . import drawing
from .searching import Search

_ANY = settings(
    max_examples=1, database=None, deadline=None, suppress_health_check=list(HealthCheck)
)
_CONSOLE = logging.getLogger("sqlmesh.core.console")


def assert_history_independent(
    sandboxes: Sandboxes,
    models: str | Sequence[object] | None = None,
    *,
    histories: SearchStrategy[History] | None = None,
    examples: int = 50,
    ignore: Mapping[str, Iterable[str]] | None = None,
    seed: int | None = None,
    **options: Any,
) -> None:
    """Assert that models have the same rows, however the days went by.

    After any history, a model must have the rows that one load of everything at its end gives.
    First, histories are played that find most faults: without any run, with a run each day, with
    each model failing before and after its rows are written, held back, and restated. Then,
    histories are drawn. At the end of each, all faults are removed, what is missing is loaded, and
    models of kind FULL are evaluated once more.

    Args:
        sandboxes: the fixture `sqlmesh_sandboxes` or `sqlmesh_project_factory`.
        models: the models to compare: a name, a glob or a list of them; None means all.
        histories: what draws histories; None means `histories()`.
        examples: how many histories are drawn.
        ignore: model → columns that may differ, such as the time of loading.
        seed: another number draws other histories. By default, they are the same each time, unless
            the active profile of Hypothesis is not derandomized.
        options: as for `sandboxes`. Histories begin at `at`, which is required.

    Raises:
        TypeError: the first argument is not one of these fixtures.
        AssertionError: the rows of a model differ. The message has the simplest history, the rows,
            and code that plays the history again.
        UnknownModelError: a name matches no model.
        SandboxError: an option is not valid, the project can't be planned, or no model had any
            rows.
    """
    __tracebackhide__ = True
    if not isinstance(sandboxes, SandboxMaker):
        raise TypeError(
            "assert_history_independent() requires the fixture sqlmesh_sandboxes or "
            f"sqlmesh_project_factory, not {short_repr(sandboxes)}"
        )
    if {**sandboxes.defaults.arguments, **options}.get("at") is None:
        raise SandboxError("assert_history_independent() requires at=, when histories begin")
    chosen: Sequence[object] | None = [models] if isinstance(models, str) else models
    if chosen is not None and "select" not in options:
        options["select"] = [getattr(each, "name", each) for each in chosen]
    drawn = drawing.histories() if histories is None else histories
    with search(sandboxes, chosen, drawn, examples, ignore or {}, seed, options) as searching:
        for finding in searching.findings():
            raise AssertionError(finding_in_words(finding, searching.checker.begin))
        checker = searching.checker
        if not any(map(checker.most_rows, checker.models.names)):
            raise SandboxError(
                "assert_history_independent() compared nothing: no model had any rows after any "
                "history; load raw data with setup="
            )


@contextmanager
def search(
    sandboxes: SandboxMaker,
    models: Sequence[object] | None,
    histories: SearchStrategy[History],
    examples: int,
    ignore: Mapping[str, Iterable[str]],
    seed: int | None,
    options: Mapping[str, Any],
) -> Iterator[Search]:
    """A search for models whose rows depend on the history; the `with` block ends it.

    Args:
        models: the models to compare; None means all.
        options: as for `sandboxes`, with `at`.

    Raises:
        UnknownModelError: a name matches no model.
        SandboxError: an option is not valid, or the project can't be planned.
    """
    __tracebackhide__ = True
    apart = sandboxes.kept_apart()

    def make(*, at: datetime | None = None, plan: bool = True) -> Sandbox:
        __tracebackhide__ = True
        changed: dict[str, Any] = {"plan": plan} if at is None else {"plan": plan, "at": at}
        return apart(**{**options, **changed})

    days = find(histories, lambda _: True, settings=_ANY).days
    with _quiet(), make() as first:
        evaluated = evaluated_models(first)
        compared = models_to_compare(first, evaluated, models, ignore)
        with Checker(make, first, compared, days) as checker:
            yield Search(checker, evaluated, histories, examples, _seed(seed))


def _seed(seed: int | None) -> int:
    """The same each time, unless the user has loaded a profile that is not derandomized."""
    if seed is not None:
        return seed
    profile = settings.default
    by_default = settings.get_current_profile_name() == "default"
    return 0 if by_default or (profile and profile.derandomize) else randrange(2**32)


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide what SQLMesh warns of at each restatement of each history."""

    def hidden(_: logging.LogRecord) -> bool:
        return False

    _CONSOLE.addFilter(hidden)
    try:
        yield
    finally:
        _CONSOLE.removeFilter(hidden)
