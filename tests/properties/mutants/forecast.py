"""Forecasts that follow other rules than SQLMesh."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from pytest_sqlmesh_tracker.forecast import simulating
from pytest_sqlmesh_tracker.forecast.crons import CronTicks
from pytest_sqlmesh_tracker.forecast.lifetimes import DAY, Start
from pytest_sqlmesh_tracker.forecast.restating import Restatements
from pytest_sqlmesh_tracker.forecast.scheduled import Missing, Progress
from pytest_sqlmesh_tracker.forecast.units import EvenUnit
from pytest_sqlmesh_tracker.tracking.spans import merged

from .registry import Mutant, mutant_of

MUTANTS: dict[str, Mutant] = {}
mutant = partial(mutant_of, among=MUTANTS)


@mutant(EvenUnit, "missing")
def there_is_no_lookback(
    original: Any, self: Any, loaded: Any, begin: int, end: int, _: int, last: Any
) -> Any:
    return original(self, loaded, begin, end, 0, last)


@mutant(EvenUnit, "missing")
def gaps_count_as_loaded(original: Any, self: Any, loaded: Any, *args: Any) -> Any:
    return original(self, [(loaded[0][0], loaded[-1][1])] if loaded else [], *args)


@mutant(simulating, "missing_at")
def models_never_end(original: Any, terms: Any, *args: Any) -> Any:
    return original(replace(terms, end=None), *args)


@mutant(simulating, "missing_at")
def partial_intervals_wait_for_their_end(original: Any, terms: Any, *args: Any) -> Any:
    return original(replace(terms, allow_partials=False), *args)


@mutant(simulating, "missing_at")
def runs_find_less_than_is_due(original: Any, terms: Any, progress: Any, at: int) -> Any:
    found = original(terms, progress, at)
    return Missing(found.spans[-1:], found.look_again)


@mutant(simulating, "missing_at")
def models_are_looked_at_a_tick_late(original: Any, terms: Any, progress: Any, at: int) -> Any:
    found = original(terms, progress, at)
    look_again = found.look_again
    return Missing(found.spans, look_again and terms.cron.next(look_again))


@mutant(CronTicks, "floor")
def crons_do_not_matter(original: Any, self: Any, at: int) -> Any:
    return max(at, original(self, at))


@mutant(CronTicks, "floor")
def the_last_tick_does_not_count(original: Any, self: Any, at: int) -> Any:
    floor = original(self, at)
    return original(self, floor - 1) if floor > self._begin else floor


@mutant(Start, "at")
def starts_do_not_move(original: Any, self: Any, moment: int) -> Any:
    return self.fixed if self.fixed is not None else original(self, moment - 10 * DAY)


@mutant(simulating, "can_start_after_last_tick")
def models_that_start_too_late_stop_nobody(*_: Any) -> bool:
    return False


@mutant(simulating._Round, "_fails")
def failures_are_successes(*_: Any) -> bool:
    return False


@mutant(simulating._Round, "_is_blocked")
def failures_block_nobody(*_: Any) -> bool:
    return False


@mutant(simulating.Simulation, "unreadable_of")
def every_table_exists(*_: Any) -> None:
    return None


@mutant(simulating._Round, "_ready")
def signals_hold_nothing_back(_original: Any, _self: Any, _model: Any, spans: Any) -> Any:
    return spans


@mutant(Restatements, "apply")
def nothing_is_restated(*_: Any) -> None:
    return None


@mutant(Progress, "counted")
def previews_count_as_data(original: Any, self: Any, terms: Any) -> Any:
    counted = original(self, terms)
    return counted if terms.reads_preview else merged([*counted, *self.previewed])


@mutant(Progress, "counted")
def data_counts_as_previews(original: Any, self: Any, terms: Any) -> Any:
    counted = original(self, terms)
    return merged([*counted, *self.loaded]) if terms.reads_preview else counted


@mutant(Progress, "counted")
def restated_intervals_count_as_loaded(_original: Any, self: Any, terms: Any) -> Any:
    return self.previewed if terms.reads_preview else self.loaded


@mutant(Progress, "record")
def evaluations_are_forgotten(*_: Any) -> None:
    return None


@mutant(Progress, "key")
def loaded_intervals_do_not_tell_models_apart(
    _original: Any, _self: Any, terms: Any, _at: int
) -> Any:
    return terms


@mutant(Progress, "through")
def gaps_do_not_limit_what_is_loaded(_original: Any, self: Any, terms: Any, _at: int) -> Any:
    spans = self.previewed if terms.reads_preview else self.loaded
    return spans[-1][1] if spans else None


@mutant(simulating.Simulation, "runs")
def the_first_run_is_lost(original: Any, self: Any) -> Iterator[Any]:
    runs = original(self)
    next(runs, None)
    yield from runs
