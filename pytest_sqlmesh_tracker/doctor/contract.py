"""What the tracker relies on in SQLMesh, what of a report each thing concerns, and what changed.

Imports no SQLMesh before it is asked.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from inspect import Parameter, signature
from pathlib import Path
from typing import Any, NamedTuple

from pytest_sqlmesh_tracker import tracking


class Event(NamedTuple):
    """A method of SQLMesh's console that is heard."""

    read: str
    """The parameters that are read."""
    unread: str
    """The others that it is known to have, or to have had."""
    concern: str


class Change(NamedTuple):
    """Something of SQLMesh is not as the tracker knows it."""

    name: str
    what: str
    concern: str


HEARD = {
    "start_plan_evaluation": Event(
        "plan", "", "whether a plan was applied, and its moments when it was"
    ),
    "update_signal_progress": Event(
        "snapshot signal_name check_intervals ready_intervals",
        "signal_idx total_signals duration",
        "`signal_not_ready` and `upstream_not_ready` (Round.signals)",
    ),
    "start_evaluation_progress": Event(
        "batched_intervals audit_only",
        "environment_naming_info default_catalog",
        "what was scheduled (Round.batches), on which every status rests",
    ),
    "start_snapshot_evaluation_progress": Event(
        "snapshot", "audit_only", "start times and order (Recording.starts)"
    ),
    "update_snapshot_evaluation_progress": Event(
        "snapshot batch_idx duration_ms num_audits_passed num_audits_failed",
        # `execution_stats` is read where it is there: rows and bytes can be None.
        "interval audit_only execution_stats auto_restatement_triggers",
        "how batches ended (Round.ends): executed or failed",
    ),
    "stop_evaluation_progress": Event(
        "", "success", "whether a round came to its end (Round.stopped)"
    ),
    "log_skipped_models": Event("snapshot_names", "", "`upstream_failed` (Round.skipped)"),
    "log_failed_models": Event(
        "errors", "", "`error`, `audit_failed`, `creation_failed` (Round.failures)"
    ),
}

# Those that tell nothing that the others do not.
NOT_HEARD = {"start_signal_progress", "stop_signal_progress", "stop_plan_evaluation"}
_OF_EVALUATION = re.compile("evaluat|audit|signal|skip|fail|interrupt|cancel")

# Called or heard method → the parameters that are read or passed by name, and what they are for.
NAMED = {
    "core.scheduler:Scheduler.merged_missing_intervals": (
        "start end execution_time ignore_cron selected_snapshots deployability_index",
        "what a run decided (RunDecision), on which every reason in runs rests",
    ),
    "core.scheduler:Scheduler.run_merged_intervals": (
        "merged_intervals",
        "what was due before signals (Round.due): `signal_not_ready`, `upstream_not_ready`",
    ),
    "core.scheduler:interval_diff": ("uninterrupted", "`depends_on_past_gap` (reasons.py)"),
    "core.snapshot:SnapshotEvaluator.audit": (
        "snapshot snapshots start end",
        "ModelOutcome.audits, and all that is said of Context.audit",
    ),
    "core.snapshot:SnapshotEvaluator._audit": (
        "audit audit_args",
        "which audit could not be run (steps.audit_that_raised)",
    ),
    "core.snapshot:SnapshotEvaluator._execute_create": (
        "table_name snapshot",
        "which table could not be created (steps.creation_step)",
    ),
    "core.state_sync:StateSync.refresh_snapshot_intervals": (
        "snapshots",
        "the intervals from which a plan's stages start (PlanFacts)",
    ),
    "core.state_sync:StateSync.add_snapshots_intervals": (
        "snapshots_intervals",
        "what is loaded afterwards (state.py): loaded_through, waiting_since, what was left out",
    ),
    "core.snapshot:Snapshot.missing_intervals": (
        "start end execution_time deployability_index ignore_cron end_bounded",
        "every inferred reason, and next_due (intervals.missing)",
    ),
    "core.snapshot:DeployabilityIndex.create": ("start", "which intervals count as loaded"),
    "core.snapshot:start_date": ("relative_to", "where a model starts (intervals.Project.start)"),
    "core.context:GenericContext.run": (
        "environment execution_time select_models ignore_cron",
        "the arguments in reports of runs (Recording.arguments)",
    ),
    "core.context:GenericContext.plan": (
        "environment execution_time restate_models select_models backfill_models",
        "the arguments in reports of plans (Recording.arguments)",
    ),
    "core.context:GenericContext.apply": ("plan", "plans that are applied later (PlanFacts)"),
    "core.context:GenericContext.audit": ("execution_time", "reports of Context.audit"),
}  # fmt: skip

# Function that is called with positional arguments → how many, and what it is for.
POSITIONAL = {
    "core.scheduler:interval_diff": (2, "what signals leave of a model (reasons.held_up)"),
    "core.snapshot:start_date": (3, "where a model starts (intervals.Project.start)"),
    "core.snapshot:merge_intervals": (1, "all intervals in reports"),
    "core.snapshot.definition:remove_interval": (3, "intervals.without"),
    "core.snapshot.definition:expand_range": (3, "units of intervals (reasons.held_up)"),
    "core.snapshot:apply_auto_restatements": (
        2,
        "`auto_restated`, and next_due of models that SQLMesh restates",
    ),
    "core.snapshot:Snapshot.get_next_auto_restatement_interval": (2, "`auto_restated`"),
    "core.state_sync.db.utils:fetchall": (2, "`removed_before` (state.py)"),
    "core.snapshot:DeployabilityIndex.is_representative": (2, "which intervals count as loaded"),
    "core.environment:Environment.sanitize_name": (1, "the environment's name in reports"),
    "core.state_sync:StateSync.get_environment": (
        2,
        "`environment_missing` and `environment_busy` (environments.py)",
    ),
    "core.state_sync:StateSync.get_environments_summary": (
        1,
        "which environments exist (environments.py)",
    ),
    "utils.date:to_timestamp": (1, "moments (compat.span, intervals.py)"),
    "utils.date:to_datetime": (1, "moments (compat.resolved, intervals.py)"),
    "utils.date:is_date": (1, "moments that mean a whole day (compat.resolved)"),
    "utils.date:make_exclusive": (1, "`ended`, and the intervals of audits"),
}

REPLACED = ("run", "plan", "apply", "audit", "create_scheduler")

# What is there under a name that the tracker only compares.
PRESENT = {
    "core.context:time": "the end of a wait for an environment (sleeping.py)",
    "core.plan.stages:RestatementStage.__dataclass_fields__": "`restatement_refused`",
    "core.environment:execute_environment_statements": "which statements failed (steps.py)",
    "core.plan.evaluator:BuiltInPlanEvaluator.visit_backfill_stage": (
        "which stage of a plan failed (steps.failed_step)"
    ),
    "core.scheduler:Scheduler._check_ready_intervals": "which signal raised (steps.failed_step)",
    "core.snapshot:SnapshotEvaluator._promote_snapshot": (
        "which view could not be created (steps.creation_step)"
    ),
    "core.state_sync:StateSync.add_interval": "Batch.unrecorded (steps.raised_in_recording)",
    "utils.concurrency:NodeExecutionFailedError": "which models failed (facts.failures_in)",
    "utils.errors:NodeAuditsErrors": "`audit_failed` (facts.failure_of)",
}


def found(path: str) -> Any:
    """An object of SQLMesh, by `module:name.name` below `sqlmesh`.

    Raises:
        LookupError: it is not there; the message says what is missing.
    """
    module, _, names = path.partition(":")
    try:
        thing: Any = import_module(f"sqlmesh.{module}")
    except ImportError as error:
        raise LookupError(f"can't be imported: {error}") from error
    for name in filter(None, names.split(".")):
        if not hasattr(thing, name):
            raise LookupError(f"is not there (no {name!r})")
        thing = getattr(thing, name)
    return thing


def changes_of_console() -> Iterator[Change]:
    """Methods of the console, and parameters that are read, that the installed SQLMesh has not."""
    for event, (read, _, concern) in HEARD.items():
        lacking = partial(_lacking, read)
        yield from _changes(f"core.console:Console.{event}", concern, lacking)
        if event in _own("core.console:TerminalConsole"):
            yield from _changes(f"core.console:TerminalConsole.{event}", concern, lacking)


def news_of_console() -> Iterator[Change]:
    """What the installed SQLMesh's console has that the tracker does not know."""
    console = _own("core.console:Console")
    for event, (read, unread, concern) in HEARD.items():
        known = {"self", *read.split(), *unread.split()}
        new = [name for name in _parameters(console.get(event)) if name not in known]
        if new:
            yield Change(f"Console.{event}", f"has new parameters: {', '.join(new)}", concern)
    for name in sorted(console.keys() - HEARD.keys() - NOT_HEARD):
        if _OF_EVALUATION.search(name) and not name.startswith("_"):
            concern = "what reports say, if it tells what another method told before"
            yield Change(f"Console.{name}", "is new, and not heard", concern)


def changes_elsewhere() -> Iterator[Change]:
    """What else the tracker calls, hears, replaces or imports that is not as it relies on."""
    for path, (named, concern) in NAMED.items():
        yield from _changes(path, concern, partial(_lacking, named))
    for path, (number, concern) in POSITIONAL.items():
        yield from _changes(path, concern, partial(_uncallable, number))
    imported = _imported()
    for path in sorted(imported.keys() - NAMED.keys() - POSITIONAL.keys() - PRESENT.keys()):
        yield from _changes(path, imported[path])
    for path, concern in PRESENT.items():
        yield from _changes(path, concern)
    for name in REPLACED:
        if name not in _own("core.context:GenericContext"):
            concern = "tracking at all: `_Switchboard` replaces it in the class"
            yield Change(f"GenericContext.{name}", "is not defined in the class", concern)


def _changes(
    path: str, concern: str, check: Callable[[Any], str] = lambda _: ""
) -> Iterator[Change]:
    try:
        what = check(found(path))
    except LookupError as error:
        what = str(error)
    if what:
        yield Change(path.partition(":")[2], what, concern)


def _lacking(named: str, method: Any) -> str:
    has = _parameters(method)
    lacks = [name for name in named.split() if name not in has and "**" not in has]
    return f"has no parameter {', '.join(lacks)}" if lacks else ""


def _uncallable(number: int, function: Any) -> str:
    try:
        signature(function).bind(*range(number))
    except TypeError as error:
        return f"can't be called with {number} arguments: {error}"
    return ""


def _parameters(method: Any) -> tuple[str, ...]:
    """The names of a method's parameters; `**` for one that takes any."""
    parameters = signature(method).parameters.values() if method else ()
    return tuple("**" if p.kind is Parameter.VAR_KEYWORD else p.name for p in parameters)


def _own(path: str) -> dict[str, Any]:
    """What a class defines itself; nothing, if it is not there."""
    try:
        return dict(vars(found(path)))
    except LookupError:
        return {}


def _imported() -> dict[str, str]:
    """What the tracker's modules import from SQLMesh, at once or when they are called."""
    paths = {}
    for file in sorted(Path(tracking.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sqlmesh."):
                module = (node.module or "").removeprefix("sqlmesh.")
                concern = f"tracking/{file.name}, which imports it"
                paths.update({f"{module}:{alias.name}": concern for alias in node.names})
    return paths
