"""What is demanded of a whole Dagster run: of its steps, and of plain assets between models."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import dagster as dg

from tests.properties.demanding.lineage import ancestors
from tests.properties.playing.dagster.runs import DagsterRun
from tests.properties.playing.state import missing, shown

from .tries import Try, fqn_of, key_of

if TYPE_CHECKING:
    from tests.properties.demanding.tally import Ledger


def check_between(run: DagsterRun, tries: list[Try], ledger: Ledger) -> None:
    for tried in tries:
        if tried.is_plain_run:
            _check_part(tried, ledger)
            _check_waiting(tried, ledger)
            _check_left_out(tried, tries, ledger)
    _check_once(tries, ledger)
    for asset in run.between:
        _check_plain(run, asset, tries, ledger)


def _check_part(tried: Try, ledger: Ledger) -> None:
    """A step evaluates nothing that another step was selected for."""
    others = tried.run.selected - tried.part.selected
    for fqn in _evaluated(tried):
        key = key_of(fqn)
        ledger.demand(
            key not in others,
            "dagster-own-part",
            f"{shown(fqn)} was evaluated by the step of {sorted(map(_name, tried.part.selected))}",
        )


def _check_waiting(tried: Try, ledger: Ledger) -> None:
    """What is below a plain asset is evaluated only after that has run, unless just the model was
    requested."""
    run = tried.run
    plain = frozenset(asset.key for asset in run.between)
    # What is not in the run is not computed anew: nothing of a plain asset comes through it.
    above, above_in_the_run = _upstream(run), _upstream(run, run.selected)
    for fqn in _evaluated(tried):
        key = key_of(fqn)
        waits_for = above_in_the_run if key in run.selected else above
        waits = plain & waits_for.get(key, frozenset()) - tried.attempt.began_after
        ledger.demand(
            not waits,
            "dagster-waits",
            f"{shown(fqn)} was evaluated before {sorted(map(_name, waits))} ran",
        )


def _check_left_out(tried: Try, tries: list[Try], ledger: Ledger) -> None:
    """Of the step's own models, what is due and can be evaluated is."""
    run, attempt = tried.run, tried.attempt
    environment = attempt.before.environment
    other = run.step.arguments.keys() - {"ignore_cron"}
    if attempt.called[0].raised or environment is None or other:
        return
    now = run.story.now
    due = missing(
        environment,
        run.step.environment,
        execution_time=now,
        end=now,
        ignore_cron=bool(run.step.arguments.get("ignore_cron")),
    )
    failed = {fqn_of_shown(name) for each in tries for name in each.with_status("failed")}
    waiting = {fqn_of_shown(name) for name in run.step.waiting}
    for fqn in due:
        above = {fqn, *ancestors(fqn, environment)}
        if key_of(fqn) in tried.part.selected and not above & (failed | waiting):
            ledger.demand(
                tried.witness.scheduled(fqn),
                "dagster-left-out",
                f"{shown(fqn)} is due, and its step left it out",
            )


def _check_once(tries: list[Try], ledger: Ledger) -> None:
    """What one step has evaluated, no other one does again."""
    observed: dict[str, Counter[object]] = {}
    for tried in tries:
        if not tried.is_plain_run:
            return
        drawn = {model.name: model for model in tried.run.story.models}
        for batch in tried.witness.batches:
            model = drawn.get(shown(batch.fqn))
            # What is partial is missing again at once.
            if batch.evaluated and batch.recorded and not (model and model.allow_partials):
                observed.setdefault(batch.fqn, Counter())[batch.span] += 1
    for fqn, spans in observed.items():
        twice = [span for span, times in spans.items() if times > 1]
        ledger.demand(not twice, "dagster-twice", f"{shown(fqn)} was evaluated twice for {twice}")


def _check_plain(
    run: DagsterRun, asset: dg.AssetsDefinition, tries: list[Try], ledger: Ledger
) -> None:
    """It runs once, if everything that it reads was executed and did not fail afterwards."""
    if asset.key not in run.selected:
        ledger.demand(asset.key not in run.ran, "dagster-plain", f"{asset.key} is not selected")
        return
    read = {fqn_of(dep.asset_key) for spec in asset.specs for dep in spec.deps}
    read = {fqn for fqn in read if key_of(fqn) in run.selected}
    executed = {fqn for tried in tries for fqn in tried.executed}
    last = {tried.part.attempts[0].key: tried for tried in tries}.values()
    failed = {fqn for tried in last for fqn in read if tried.statuses(fqn) == {"failed"}}
    name = _name(asset.key)
    if asset.key in run.ran:
        ledger.demand(run.ran.count(asset.key) == 1, "dagster-plain", f"{name} ran twice")
        ledger.demand(
            read <= executed - failed,
            "dagster-plain-below",
            f"{name} ran; it reads {sorted(map(shown, read))}, of which were executed "
            f"{sorted(map(shown, read & executed))}, and failed {sorted(map(shown, failed))}",
        )
    elif run.success and len(last) == run.planned:
        ledger.demand(
            not read <= executed,
            "dagster-plain",
            f"{name} did not run, though all that it reads was executed: {sorted(read)}",
        )


def _evaluated(tried: Try) -> set[str]:
    observed = {batch.fqn for batch in tried.witness.batches if batch.evaluated is not None}
    return set(filter(tried.is_table, observed))


def _upstream(
    run: DagsterRun, within: frozenset[dg.AssetKey] | None = None
) -> dict[dg.AssetKey, frozenset[dg.AssetKey]]:
    """All that each asset waits for, directly or not, as Dagster knows it.

    Args:
        within: the assets to look at; all, if None.
    """
    specs = [spec for assets in (run.assets, *run.between) for spec in assets.specs]
    direct = {spec.key: {dep.asset_key for dep in spec.deps} for spec in specs}
    if within is not None:
        direct = {key: read & within for key, read in direct.items() if key in within}
    upstream: dict[dg.AssetKey, frozenset[dg.AssetKey]] = {}
    for key in direct:
        reached: set[dg.AssetKey] = set()
        queue = [key]
        while queue:
            more = direct.get(queue.pop(), set()) - reached
            reached |= more
            queue += more
        upstream[key] = frozenset(reached)
    return upstream


def fqn_of_shown(name: str) -> str:
    return ".".join(f'"{part}"' for part in ("wh", *name.split(".")))


def _name(key: dg.AssetKey) -> str:
    return key.to_user_string()
