"""Drawing histories: what is invoked, when, with what arguments and under which faults."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from .dice import Dice
from .models import draw_edits, draw_model, draw_project
from .specs import Edit, History, Injected, Model, Step, edited

BEGAN = datetime(2024, 1, 10)
WAITS = (
    timedelta(days=1, minutes=40),
    timedelta(days=1),
    timedelta(days=5),
    timedelta(hours=7),
    timedelta(days=1, hours=7),
    timedelta(days=24),
    timedelta(minutes=31),
    timedelta(minutes=10),
)
STALE = (timedelta(days=5), timedelta(days=24), timedelta(days=2, hours=7))
AGO = ("2 days ago", "1 week ago", "36 hours ago")
AFTERWARDS = ("variables", "edited", "closed", "crons")
CHECKS = ("future", "held_back", "what_if", "left")
RESTATED_ELSEWHERE = ("dev change", "prod restatement", "dev run")
SCENES = (
    *("run",) * 5,
    *("windowed run",) * 3,
    *("selected run",) * 2,
    *("eager run",) * 2,
    *("unplanned run",) * 3,
    *("plan",) * 3,
    *("dev plan",) * 5,
    *("dev run",) * 2,
    *("plan not applied",) * 3,
    *("plan without backfill",) * 3,
    *("selected plan",) * 3,
    *("restatement",) * 5,
    *("stale plan",) * 3,
    *("preview",) * 3,
    *("audit",) * 2,
    *("provocation",) * 5,
)


@st.composite
def histories(draw: st.DrawFn, invocations: Sequence[int] = (3, 2, 4)) -> History:
    """A project, and some invocations after the plan that makes it.

    Args:
        invocations: how many there can be.
    """
    dice = Dice(draw)
    models = draw_project(dice)
    before_all = dice.chance(20)
    tasks = 4 if dice.chance(30) else 1
    began = BEGAN + timedelta(hours=dice.one_of((9, 0, 23)), minutes=dice.one_of((5, 0, 45)))
    now = began
    steps = [_first_plan(dice, models)]
    if steps[0].switches or steps[0].injected:
        # What failed is planned again, or there would be no environment to run.
        steps.append(Step(timedelta(minutes=10), "plan"))
        now += steps[-1].wait
    current = models
    for scene in _scenes(dice, invocations):
        wait = dice.one_of(WAITS if scene != "stale plan" else STALE)
        now += wait
        step = _draw_scene(dice, scene, current, now, wait, before_all, tasks)
        steps.append(_read(dice, step))
        current = edited(current, step.edits)
    steps[0] = _read(dice, steps[0])
    afterwards = tuple(what for what in AFTERWARDS if dice.chance(60))
    return History(models, began, tuple(steps), tasks, before_all, afterwards)


def _read(dice: Dice, step: Step) -> Step:
    """The step, with when its report is read."""
    when = dice.one_of(("at once", "at once", "late", "twice"))
    if when == "at once":
        return step
    clock = dice.one_of(("as it is", "weeks later", "weeks later", "weeks before"))
    return replace(step, read=when, clock=clock)


def _scenes(dice: Dice, invocations: Sequence[int]) -> Sequence[str]:
    """What happens, in order."""
    if max(invocations) >= len(RESTATED_ELSEWHERE) and dice.chance(12):
        # What prod restates is removed from what dev alone has.
        return RESTATED_ELSEWHERE
    return [dice.one_of(SCENES) for _ in range(dice.one_of(invocations))]


def _first_plan(dice: Dice, models: Sequence[Model]) -> Step:
    arguments: dict[str, Any] = {}
    if dice.chance(8):
        arguments[dice.one_of(("skip_backfill", "empty_backfill"))] = True
    switches = _faults(dice, models, 25) if dice.chance(25) else ()
    injected = _injected(dice, models) if dice.chance(12) else ()
    return Step(
        timedelta(),
        "plan",
        arguments=arguments,
        switches=switches,
        injected=injected,
        checks=_checks(dice),
    )


def _checks(dice: Dice) -> tuple[str, ...]:
    return tuple(check for check in CHECKS if dice.chance(22))


def _faults(dice: Dice, models: Sequence[Model], percent: int) -> tuple[tuple[str, str], ...]:
    """Faults of some models, each with this probability."""
    faults = []
    for model in models:
        able = [*(["broken"] * (not model.only_audited and model.kind != "seed"))]
        able += ["gone"] * model.sourced + list(model.audits) * 2
        able += ["none", "first", "rest", "rest", "none"] * (2 * model.gated)
        if model.kind == "audit":
            able.append("fails")
        if able and dice.chance(percent):
            faults.append((dice.one_of(able), model.name))
    return tuple(faults)


def _injected(dice: Dice, models: Sequence[Model]) -> tuple[Injected, ...]:
    """Faults of the sandbox, in one or two models."""
    faults = []
    able = [m for m in models if not m.only_audited or m.audits or m.kind == "audit"]
    for model in dice.some_of(able, 2, at_least=1):
        audits = (model.name,) if model.kind == "audit" else model.audits
        audit = dice.one_of((*audits * 2, *(() if model.only_audited else (None,))))
        batch = dice.one_of((0, 1)) if dice.chance(35) and not model.only_audited else None
        times = dice.one_of((1, 2)) if dice.chance(35) else None
        faults.append(Injected(model.name, audit, batch, times))
    return tuple(faults)


def _held(dice: Dice, models: Sequence[Model]) -> tuple[tuple[str, str], ...]:
    able = [model.name for model in models if not model.only_audited]
    return tuple(("held", name) for name in dice.some_of(able, 2, at_least=1))


def _draw_scene(
    dice: Dice,
    scene: str,
    models: tuple[Model, ...],
    now: datetime,
    wait: timedelta,
    before_all: bool,
    tasks: int,
) -> Step:
    faults = _faults(dice, models, 40) if dice.chance(75) else ()
    faults += _held(dice, models) if dice.chance(15) else ()
    injected = _injected(dice, models) if dice.chance(30) else ()
    common: dict[str, Any] = {
        "wait": wait,
        "switches": faults,
        "injected": injected,
        "checks": _checks(dice),
    }
    names = [model.name for model in models if model.kind not in ("audit", "external")]
    if scene == "run":
        return Step(command="run", **common)
    if scene == "windowed run":
        return Step(command="run", arguments=_window(dice, now), **common)
    if scene == "selected run":
        arguments = {"select_models": _selection(dice, names), "no_auto_upstream": dice.chance(50)}
        if dice.chance(40):
            arguments["ignore_cron"] = True
        return Step(command="run", arguments=arguments, **common)
    if scene == "eager run":
        return Step(command="run", arguments={"ignore_cron": True}, **common)
    if scene == "unplanned run":
        return Step(command="run", edits=draw_some_edits(dice, models, added=60), **common)
    if scene == "dev run":
        arguments = {"ignore_cron": True} if dice.chance(30) else {}
        return Step(command="run", environment="dev", arguments=arguments, **common)
    if scene == "audit":
        return Step(command="audit", arguments=_audit(dice, names, now), **common)
    if scene == "provocation":
        return _provocation(dice, models, common, before_all, tasks)
    if scene == "restatement":
        return _restatement(dice, models, names, now, common)
    if scene == "stale plan":
        edits = (*draw_edits(dice, models, 1), *draw_some_edits(dice, models, added=60))
        return Step(
            command="plan",
            environment=dice.one_of(("prod", "dev")),
            arguments={"run": True} if dice.chance(25) else {},
            edits=_one_each(edits),
            **common,
        )
    if scene == "dev change":
        changed = _changed_in_dev(models)
        edits = (Edit("breaking", replace(changed, version=changed.version + 1)),)
        return Step(command="plan", environment="dev", edits=edits, **common)
    if scene == "prod restatement":
        name = _changed_in_dev(models).name
        arguments = {"restate_models": [name], "start": str((now - timedelta(days=4)).date())}
        return Step(command="plan", arguments=arguments, **common)
    if scene == "preview":
        return _preview(dice, models, now, common)
    edits = draw_some_edits(dice, models)
    if scene == "selected plan":
        key = dice.one_of(("select_models", "backfill_models"))
        environment = dice.one_of(("dev", "prod"))
        options: dict[str, Any] = {key: _selection(dice, names)}
        if environment == "dev":
            options["include_unmodified"] = dice.chance(60)
        return Step(
            command="plan", environment=environment, arguments=options, edits=edits, **common
        )
    if scene == "plan not applied":
        how = {"explain": True} if dice.chance(25) else {"auto_apply": False}
        return _plan(dice, dice.one_of(("prod", "dev")), edits, now, common, how)
    if scene == "plan without backfill":
        how = {dice.one_of(("skip_backfill", "empty_backfill")): True}
        return _plan(dice, dice.one_of(("prod", "dev")), edits, now, common, how)
    return _plan(dice, "dev" if scene == "dev plan" else "prod", edits, now, common, {})


def draw_some_edits(dice: Dice, models: tuple[Model, ...], added: int = 0) -> tuple[Edit, ...]:
    if dice.chance(added):
        number = 1 + max(int(m.name[3:]) for m in models if m.name.startswith("m.a"))
        return (Edit("added", draw_model(dice, f"m.a{number}", models)),)
    return draw_edits(dice, models) if dice.chance(80) else ()


def _one_each(edits: Sequence[Edit]) -> tuple[Edit, ...]:
    """The last edit of each model."""
    return tuple({edit.model.name: edit for edit in edits}.values())


def _changed_in_dev(models: Sequence[Model]) -> Model:
    """The first model that can be restated, or else be edited."""
    able = [m for m in models if m.kind in ("incremental", "self", "full", "python", "unique")]
    free = [m for m in able if not (m.disable_restatement or m.forward_only)]
    return (free or able or list(models))[0]


def _preview(dice: Dice, models: tuple[Model, ...], now: datetime, common: dict[str, Any]) -> Step:
    """A forward-only change in dev, often together with a new model."""
    able = [m for m in models if m.kind in ("incremental", "self", "unique", "full", "python")]
    model = dice.one_of([m for m in able if m.forward_only] or able or list(models))
    edits = [Edit("breaking", replace(model, version=model.version + 1))]
    if model not in able:
        edits = list(draw_edits(dice, models, 1))
    if dice.chance(70):
        edits += draw_some_edits(dice, models, added=100)
    arguments: dict[str, Any] = {"enable_preview": dice.chance(80)}
    if not model.forward_only:
        arguments["forward_only"] = True
    if dice.chance(30):
        arguments["start"] = dice.one_of((*AGO, str((now - timedelta(days=2)).date())))
    if dice.chance(25):
        arguments["include_unmodified"] = True
    return Step(
        command="plan",
        environment="dev",
        arguments=arguments,
        edits=_one_each(edits),
        **common,
    )


def _window(dice: Dice, now: datetime) -> dict[str, Any]:
    arguments: dict[str, Any] = {}
    shape = dice.one_of(("end", "start", "both", "past", "future", "narrow", "ago"))
    if shape == "ago":
        arguments["start"] = dice.one_of(AGO)
    if shape in ("start", "both"):
        arguments["start"] = str((now - dice.one_of((timedelta(days=1), timedelta()))).date())
    if shape in ("end", "both"):
        arguments["end"] = str((now - dice.one_of((timedelta(days=1), timedelta()))).date())
    if shape == "narrow":
        arguments["start"] = str(now - timedelta(hours=2))
        arguments["end"] = str(now)
    if shape == "past":
        arguments["execution_time"] = str(
            now - dice.one_of((timedelta(days=2), timedelta(hours=9)))
        )
    if shape == "future":
        arguments["execution_time"] = str(
            now + dice.one_of((timedelta(days=2), timedelta(hours=9)))
        )
    if dice.chance(40):
        arguments["ignore_cron"] = True
    return arguments


def _selection(dice: Dice, names: Sequence[str]) -> list[str]:
    chosen = dice.some_of(names, 2, at_least=1)
    return [dice.one_of(("{}", "{}", "+{}", "{}+")).format(name) for name in chosen]


def _plan(
    dice: Dice,
    environment: str,
    edits: tuple[Edit, ...],
    now: datetime,
    common: dict[str, Any],
    how: dict[str, Any],
) -> Step:
    arguments = dict(how)
    if environment == "dev":
        arguments["include_unmodified"] = dice.chance(50)
        if dice.chance(60):
            arguments["enable_preview"] = dice.chance(50)
        if dice.chance(20):
            arguments["start"] = dice.one_of((str((now - timedelta(days=2)).date()), *AGO))
        if dice.chance(15):
            arguments["end"] = str((now - timedelta(days=1)).date())
    elif dice.chance(3):
        arguments["end"] = str((now - timedelta(days=1)).date())
    if dice.chance(22):
        arguments["forward_only"] = True
    if dice.chance(15):
        arguments["run"] = True
    if dice.chance(8):
        arguments["execution_time"] = str(now - timedelta(days=1))
    plain = "auto_apply" not in how and "explain" not in how
    command = "apply" if plain and dice.chance(20) else "plan"
    return Step(
        command=command, environment=environment, arguments=arguments, edits=edits, **common
    )


def _restatement(
    dice: Dice,
    models: Sequence[Model],
    names: Sequence[str],
    now: datetime,
    common: dict[str, Any],
) -> Step:
    chosen = dice.some_of(names, 2, at_least=1)
    refusing = [m.name for m in models if m.kind == "seed" or m.disable_restatement]
    if refusing and dice.chance(60):
        chosen = tuple(dict.fromkeys((*chosen[:1], dice.one_of(refusing))))
    arguments: dict[str, Any] = {"restate_models": list(chosen)}
    if dice.chance(65):
        days = timedelta(days=dice.one_of((3, 1, 8)))
        arguments["start"] = dice.one_of((str((now - days).date()), str(now - days), *AGO[:1]))
    if dice.chance(45):
        back = dice.one_of((timedelta(days=1), timedelta(hours=20)))
        arguments["end"] = dice.one_of((str((now - back).date()), str(now - back)))
    if dice.chance(25):
        arguments["auto_apply"] = False
    environment = dice.one_of(("prod", "prod", "dev"))
    if dice.chance(35):
        common = {**common, "checks": ("what_if", "left")}
    return Step(command="plan", environment=environment, arguments=arguments, **common)


def _audit(dice: Dice, names: Sequence[str], now: datetime) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "start": str((now - timedelta(days=3)).date()),
        "end": str(now.date()),
    }
    if dice.chance(40):
        arguments["models"] = list(dice.some_of(names, 2, at_least=1))
    return arguments


def _provocation(
    dice: Dice, models: Sequence[Model], common: dict[str, Any], before_all: bool, tasks: int
) -> Step:
    """Something that stops the whole command, or makes SQLMesh start it again."""
    able = [("raise", m.name) for m in models if m.gated]
    able += [("environment", m.name) for m in models if m.gated or m.kind == "python"]
    if tasks == 1:
        able += [("interrupt", m.name) for m in models if m.kind == "python"] * 8
    able += [("before_all", "*")] * (2 * before_all)
    switch = dice.one_of(able) if able else None
    command = "plan" if switch and switch[0] == "before_all" and dice.chance(50) else "run"
    arguments: dict[str, Any] = {}
    if command == "run":
        arguments["ignore_cron"] = True
        if switch and switch[0] == "environment" and dice.chance(50):
            arguments["exit_on_env_update"] = 3
        if switch is None and dice.chance(30):
            arguments["start"] = "2024-06-01"
            arguments["end"] = "2024-01-01"
    edits = draw_edits(dice, models) if command == "plan" else ()
    switches = (*common["switches"], switch) if switch else common["switches"]
    return Step(
        command=command, arguments=arguments, edits=edits, **{**common, "switches": switches}
    )
