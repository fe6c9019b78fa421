"""Drawing projects and their edits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from .dice import Dice
from .specs import UNDETERMINED, Edit, Model

CRONS = (
    "@daily",
    "@hourly",
    "*/30 * * * *",
    "0 */6 * * *",
    "@weekly",
    "@monthly",
    "0 5 * * 1-5",
    "17 * * * *",
    "30 13 * * *",
)
KINDS = (
    *("full", "incremental", "incremental", "view", "python", "self", "unique", "self"),
    *("seed", "embedded", "incremental", "python", "seed"),
)
STARTS = ("2024-01-02", "2024-01-05", "2024-01-14", "2024-02-10")
RELATIVE_STARTS = ("1 week ago", "3 days ago", "36 hours ago")
RELATIVE_STARTS_BY_CRON = {
    # A start can move past the last tick of such a cron.
    "@weekly": ("10 days ago", "1 week ago", "4 days ago"),
    "@monthly": ("6 weeks ago", "40 days ago"),
}
RELATIVE_ENDS = ("2 days ago", "30 hours ago")
ENDS = ("2024-01-06", "2024-01-09", "2024-01-16")
WITHIN_INTERVALS = {"17 * * * *", "30 13 * * *"}
"""Crons that tick within an interval, of which a run then loads a part if that is allowed."""
SUBDAILY = {"@hourly", "*/30 * * * *", "17 * * * *", "0 */6 * * *", "0 8-18 * * *", "*/5 9 * * *"}


def draw_project(dice: Dice) -> tuple[Model, ...]:
    """Two to five models that are evaluated, and often some that are only audited."""
    models: list[Model] = []
    if dice.chance(30):
        audits = ("hard",) if dice.chance(60) else ()
        models.append(Model("raw.ext", "external", audits=audits))
    for number in range(dice.one_of((3, 2, 4, 5))):
        models.append(draw_model(dice, f"m.a{number}", models))
    if dice.chance(55) and not any(model.kind == "python" for model in models):
        above = dice.some_of([m.name for m in models if m.kind != "embedded"], 1)
        name = f"m.a{len(models)}"
        models.append(Model(name, "python", above, gated=dice.chance(50)))
    if dice.chance(25) and any(model.kind != "embedded" for model in models):
        read = dice.one_of([m.name for m in models if m.kind != "embedded"])
        models.append(Model("sa0", "audit", (read,), cron=dice.one_of(CRONS)))
    return tuple(models)


def draw_model(dice: Dice, name: str, others: Sequence[Model]) -> Model:
    kind = dice.one_of(KINDS)
    readable = [model.name for model in others if model.kind != "audit"]
    most = 0 if kind == "seed" else dice.one_of((1, 1, 2))
    model = Model(name, kind, dice.some_of(readable, most, min(most, int(dice.chance(80)))))
    if kind == "embedded":
        return model
    if kind == "seed":
        return replace(model, audits=("soft",) if dice.chance(25) else ())
    # A model that has not started yet breaks the promotion of most plans, unless its table is
    # created apart from its evaluation.
    cron = dice.one_of(CRONS)
    starts = STARTS if kind in ("incremental", "self") or dice.chance(8) else STARTS[:2]
    rarely = cron in ("@weekly", "@monthly")
    start = dice.one_of(starts) if dice.chance(2 if rarely else 20) else None
    ends = [end for end in ENDS if end > (start or "")]
    model = replace(
        model,
        cron=cron,
        start=start,
        end=dice.one_of(ends) if ends and dice.chance(12) else None,
        gated=dice.chance(70 if kind == "self" else 40),
        audits=dice.some_of(("hard", "soft"), 2, at_least=1) if dice.chance(40) else (),
        sourced=kind not in ("python", "view") and dice.chance(30),
    )
    model = _unusual(dice, model)
    if kind in ("incremental", "unique", "self"):
        model = replace(
            model,
            forward_only=dice.chance(25),
            disable_restatement=dice.chance(25),
        )
    if kind in ("incremental", "self"):
        size = dice.one_of((300, 700)) if model.cron in SUBDAILY else dice.one_of((15, 30))
        model = replace(
            model,
            batch_size=size if kind == "self" or dice.chance(35) else None,
            lookback=dice.one_of((1, 2)) if dice.chance(18) else None,
            allow_partials=dice.chance(50 if model.cron in WITHIN_INTERVALS else 12),
            auto_restatement="@daily" if kind == "incremental" and dice.chance(10) else None,
        )
        if kind == "incremental" and model.batch_size and dice.chance(40):
            model = replace(model, batch_concurrency=dice.one_of((1, 2)))
    return model


def _unusual(dice: Dice, model: Model) -> Model:
    """In a share of them, a start that moves with the clock, or a cron with irregular ticks."""
    if dice.chance(5):
        model = replace(model, cron=dice.one_of(UNDETERMINED))
        if model.cron == "*/5 9 * * *" and model.start is None:
            # There are many five minutes in a month.
            model = replace(model, start="2024-01-08", end=None)
    if dice.chance(12):
        # What is not over yet has no tick to begin with: not sooner than a day and a half.
        starts = RELATIVE_STARTS_BY_CRON.get(model.cron, RELATIVE_STARTS)
        model = replace(model, start=dice.one_of(starts), end=None)
        if dice.chance(12) and model.start == "1 week ago":
            model = replace(model, end=dice.one_of(RELATIVE_ENDS))
    return model


def draw_edits(dice: Dice, models: Sequence[Model], most: int = 2) -> tuple[Edit, ...]:
    """Changes of the project, of different models."""
    edits = [draw_edit(dice, model, models) for model in dice.some_of(models, most, at_least=1)]
    if dice.chance(20):
        number = 1 + max(int(m.name[3:]) for m in models if m.name.startswith("m.a"))
        removed = {edit.model.name for edit in edits if edit.removed}
        others = [model for model in models if model.name not in removed]
        edits.append(Edit("added", draw_model(dice, f"m.a{number}", others)))
    return tuple(edits)


def draw_edit(dice: Dice, model: Model, models: Sequence[Model]) -> Edit:
    metadata = Edit("metadata", replace(model, owner="ada" if model.owner != "ada" else "bob"))
    soft = tuple(name for name in ("hard", "soft") if (name in model.audits) != (name == "soft"))
    audits = Edit("audits", replace(model, audits=soft))
    if model.kind == "embedded":
        return metadata
    if model.kind in ("external", "seed"):
        return dice.one_of((metadata, audits))
    breaking = Edit("breaking", replace(model, version=model.version + 1))
    if model.kind == "audit":
        return dice.one_of((metadata, breaking))
    read = any(model.name in other.parents for other in models)
    several = len([other for other in models if other.name.startswith("m.a")]) > 2
    return dice.one_of(
        (
            breaking,
            Edit("column", replace(model, extra=model.extra + 1)),
            metadata,
            audits,
            Edit("cron", replace(model, cron=dice.one_of(CRONS))),
            breaking if read or not several else Edit("removed", model, removed=True),
        )
    )
