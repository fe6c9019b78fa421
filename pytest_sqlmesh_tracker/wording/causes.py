"""Why a model was evaluated, in words."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_sqlmesh_tracker.outcomes.outcome import Outcome
from pytest_sqlmesh_tracker.outcomes.vocabulary import Cause

from .formats import listed, spans

_PHRASES = {
    Cause.RESTATED: "restated",
    Cause.AUTO_RESTATED: "restated by its auto_restatement_cron",
    Cause.FIRST_LOAD: "first load",
    Cause.REMOVED_BEFORE: "loaded again after a removal",
    Cause.FILLED_GAP: "filled a gap",
    Cause.NEW_INTERVAL: "new interval",
    Cause.AHEAD_OF_CRON: "ahead of its cron",
    Cause.RELOADED: "reloaded",
    Cause.AUDITS_CHANGED: "its audits changed",
    Cause.REQUESTED: "requested",
}


def causes_in_words(outcome: Outcome) -> str:
    """All causes, phrased to follow "executed in 2 batches"; empty if there are none."""
    return ", ".join(_in_words(outcome, cause) for cause in outcome.causes)


def causes_in_short(outcome: Outcome) -> str:
    """The causes, by the names that assertions accept: `restated (staging.orders), reloaded`."""
    return ", ".join(_in_short(outcome, cause) for cause in outcome.causes)


def cause_facts(outcome: Outcome) -> list[tuple[str, str]]:
    """Labels and texts of the facts about the causes; with intervals if there are several."""
    facts = []
    if len(outcome.causes) == 1:
        facts.append(("cause", str(outcome.cause)))
    elif outcome.causes:
        facts.append(("causes", "\n".join(_with_intervals(outcome, c) for c in outcome.causes)))
    if outcome.restated_by:
        facts.append(("restated by", listed(outcome.restated_by, 10)))
    if outcome.changed_by:
        category = f" ({_words(outcome.change_category)})" if outcome.change_category else ""
        facts.append(("changed by", listed(outcome.changed_by, 10) + category))
    return facts


def _in_words(outcome: Outcome, cause: Cause) -> str:
    phrase = _PHRASES[cause]
    restated_by = _others(outcome, outcome.restated_by)
    if cause is Cause.RESTATED:
        return f"{phrase} with {listed(restated_by)}" if restated_by else phrase
    if cause is Cause.AUTO_RESTATED:
        whose = f"the auto_restatement_cron of {listed(restated_by)}"
        return f"restated by {whose}" if restated_by else phrase
    if cause is Cause.FIRST_LOAD:
        return phrase + _after_changes(outcome)
    if cause is Cause.NEW_INTERVAL and len(outcome.intervals_by_cause.get(cause, ())) > 1:
        return f"{phrase}s"
    if cause is Cause.RELOADED and outcome.kind == "full":
        return f"{phrase} as a whole"
    return phrase


def _after_changes(outcome: Outcome) -> str:
    """` after a breaking change of staging.orders`; empty if no change is known."""
    changed_by = outcome.changed_by
    if not changed_by:
        return ""
    category = f"{_words(outcome.change_category)} " if outcome.change_category else ""
    if len(changed_by) > 1:
        return f" after {category}changes of {listed(changed_by)}"
    article = "an" if category[:1] in tuple("aeiou") else "a"
    of = "" if changed_by == (outcome.name,) else f" of {changed_by[0]}"
    return f" after {article} {category}change{of}"


def _in_short(outcome: Outcome, cause: Cause) -> str:
    by: Sequence[str] = ()
    if cause in (Cause.RESTATED, Cause.AUTO_RESTATED):
        by = _others(outcome, outcome.restated_by)
    elif cause is Cause.FIRST_LOAD:
        by = [name for name in outcome.changed_by if name != outcome.name]
    return f"{cause} ({listed(by)})" if by else str(cause)


def _with_intervals(outcome: Outcome, cause: Cause) -> str:
    intervals = outcome.intervals_by_cause.get(cause)
    return f"{cause}: {spans(intervals)}" if intervals else str(cause)


def _others(outcome: Outcome, names: Sequence[str]) -> list[str]:
    """The models that brought it about, except the model itself."""
    return [] if outcome.name in names else list(names)


def _words(category: str) -> str:
    hyphenated = category.replace("non_breaking", "non-breaking").replace("forward_", "forward-")
    return hyphenated.replace("_", " ")
