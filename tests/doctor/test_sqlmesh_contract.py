"""What the tracker relies on in SQLMesh, compared with the installed SQLMesh.

A failure here says what a SQLMesh release changed, and which part of the tracker it affects.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from inspect import signature
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import pytest

from pytest_sqlmesh_tracker.doctor import contract
from pytest_sqlmesh_tracker.doctor.calls import calls_of_sqlmesh
from pytest_sqlmesh_tracker.tracking import compat
from pytest_sqlmesh_tracker.tracking.events.console_events import CONSOLE_EVENTS, ConsoleEvents
from pytest_sqlmesh_tracker.tracking.sqlmesh_objects import (
    PARTS,
    AuditError,
    DeployabilityIndex,
)
from tests.contract import RecordedCall, Recorder, demand, has_fields, resolved, short, tap
from tests.projects import Project, at, read_between

# -- signatures ------------------------------------------------------------------------------------


def test_a_handler_is_named_after_the_method_that_it_handles() -> None:
    for event, reliance in CONSOLE_EVENTS.items():
        assert reliance.path == f"core.console:Console.{event}"
        assert callable(getattr(ConsoleEvents, event))


def test_modules_named_in_a_concern_exist() -> None:
    package = Path(contract.__file__).parents[1]
    modules = {path.name for path in package.rglob("*.py")}
    for reliance in (*contract.declared(), *CONSOLE_EVENTS.values()):
        file_names = {Path(path).name for path in re.findall(r"[\w/]+\.py", reliance.concern)}
        assert file_names <= modules, reliance


def test_calls_are_read_from_the_source() -> None:
    calls = {(call.path, call.positional, call.keywords) for call in calls_of_sqlmesh()}
    assert calls >= {
        ("core.scheduler:interval_diff", 2, ("uninterrupted",)),
        ("core.snapshot.definition:merge_intervals", 1, ()),
        ("core.snapshot.definition:remove_interval", 3, ()),
        ("core.snapshot.definition:expand_range", 3, ()),
        ("core.snapshot:apply_auto_restatements", 2, ()),
        ("core.snapshot:DeployabilityIndex.create", 1, ("start",)),
        ("core.state_sync.db.utils:fetchall", 2, ()),
        ("core.environment:Environment.sanitize_name", 1, ()),
        ("utils.date:to_timestamp", 1, ()),
        ("utils.date:to_datetime", 1, ()),
        ("utils.date:is_date", 1, ()),
        ("utils.date:make_exclusive", 1, ()),
    }


@pytest.mark.parametrize(
    "changes",
    [contract.changes_of_console, contract.news_of_console, contract.changes_elsewhere],
    ids=lambda changes: changes.__name__,
)
def test_calls_observations_replacements_and_imports(changes: Callable[[], Any]) -> None:
    lines = [f"{each.name} {each.what}; this affects {each.concern}" for each in changes()]
    assert lines == []


def test_results_of_the_interval_functions() -> None:
    concern = "all intervals in reports"
    merged = resolved("core.snapshot:merge_intervals", concern)([(0, 1), (1, 2), (3, 4)])
    demand(merged == [(0, 2), (3, 4)], f"merge_intervals (returned {merged})", concern)
    left = resolved("core.snapshot.definition:remove_interval", concern)([(0, 4)], 1, 2)
    demand(left == [(0, 1), (2, 4)], f"remove_interval (returned {left})", concern)
    day = resolved("core.node:IntervalUnit.DAY", concern)
    ends = resolved("core.snapshot.definition:expand_range", concern)(0, 2 * DAY, day)
    demand(ends == [0, DAY, 2 * DAY], f"expand_range (returned {ends})", concern)
    days = list(pairwise(range(0, 4 * DAY, DAY)))
    interval_diff = resolved("core.scheduler:interval_diff", concern)
    kept = interval_diff(days, [days[1]]), interval_diff(days, [days[1]], uninterrupted=True)
    demand(kept == ([days[0], days[2]], [days[0]]), f"interval_diff (returned {kept})", concern)


def test_results_of_a_run() -> None:
    concern = "RunReport.completion (Recording.returned)"
    values = {status.value for status in resolved("core.scheduler:CompletionStatus", concern)}
    known = {"success", "failure", "nothing_to_do"}
    demand(values == known, f"CompletionStatus (is {sorted(values)})", concern)


def test_the_figures_of_a_batch() -> None:
    """Only where SQLMesh has them: since 0.211.2."""
    event = "core.console:Console.update_snapshot_evaluation_progress"
    concern = "rows and bytes of batches (BatchEnd)"
    if "execution_stats" in signature(resolved(event, concern)).parameters:
        path = "core.snapshot.execution_tracker:QueryExecutionStats"
        fields = resolved(path, concern).__dataclass_fields__
        missing = {"total_rows_processed", "total_bytes_processed"} - fields.keys()
        demand(not missing, f"{path} (no {sorted(missing)})", concern)


# -- real runs -------------------------------------------------------------------------------------

DAY = 24 * 60 * 60 * 1000
JAN_9 = 19731 * DAY

# Recorded calls, of the console and of tapped methods, as words of the stories below.
WORDS = {
    "refresh_snapshot_intervals": "refresh",
    "merged_missing_intervals": "decide",
    "run_merged_intervals": "schedule",
    "start_plan_evaluation": "apply",
    "update_signal_progress": "answer",
    "start_evaluation_progress": "begin",
    "start_snapshot_evaluation_progress": "batches",
    "update_snapshot_evaluation_progress": "batches",
    "audit": "batches",
    "stop_evaluation_progress": "end",
    "log_skipped_models": "skipped",
    "log_failed_models": "failed",
}
ROUND = "schedule( answer)? begin( batches)? end skipped failed"
PLAN = "(refresh )*apply refresh"
ORDERS = {
    "a first plan": f"{PLAN} {ROUND}",
    "nothing due": "refresh decide",
    "a run that fails": f"refresh decide {ROUND}",
    "three rounds": f"{PLAN} decide {ROUND} {ROUND} {ROUND}",
    "a circuit breaker": "refresh decide schedule( answer)? begin end skipped",
    "no table": f"{PLAN} skipped failed",
    "a signal that raises": "refresh decide schedule",
}


@dataclass
class Stories:
    """The calls that each story made, and what is left after all of them."""

    context: Any
    calls: list[RecordedCall] = field(default_factory=list)
    calls_of: dict[str, list[RecordedCall]] = field(default_factory=dict)
    raised: dict[str, BaseException] = field(default_factory=dict)
    plan: Any = None
    scheduler: Any = None

    def listen(self) -> None:
        from sqlmesh.core.console import NoopConsole

        create_scheduler = self.context.create_scheduler

        def create(*args: Any, **kwargs: Any) -> Any:
            self.scheduler = create_scheduler(*args, **kwargs)
            tap(self.scheduler, "merged_missing_intervals", self.calls)
            tap(self.scheduler, "run_merged_intervals", self.calls)
            tap(self.scheduler.snapshot_evaluator, "audit", self.calls)
            return self.scheduler

        self.context.console = Recorder(NoopConsole(), self.calls)
        self.context.create_scheduler = create
        tap(self.context.state_sync, "refresh_snapshot_intervals", self.calls)

    def tell(self, story: str, moment: str, call: Callable[..., Any], **arguments: Any) -> None:
        self.calls.clear()
        with at(moment):
            try:
                call(**arguments)
            except Exception as error:
                self.raised[story] = error
        self.calls_of[story] = list(self.calls)

    def events(self, story: str, event: str) -> list[RecordedCall]:
        return [call for call in self.calls_of[story] if call.event == event]

    def one(self, story: str, event: str) -> RecordedCall:
        events = self.events(story, event)
        what = f"{event} in {story!r} (came {len(events)} times)"
        demand(len(events) == 1, what, "rounds and what is in them (events/)")
        return events[0]


@pytest.fixture(scope="module")
def stories(tmp_path_factory: pytest.TempPathFactory) -> Stories:
    """Seven stories are played on the project, with four workers."""
    project = Project(tmp_path_factory.mktemp("contract"), concurrent_tasks=4)
    ticks, daily = "SELECT @start_dt::TIMESTAMP AS ts, 1 AS amount", {"cron": "'@daily'"}
    audits = "(accepted_values(column := id, is_in := (1{also})))"
    broken = "CASE WHEN EXISTS (SELECT 1 FROM raw.broken) THEN error('broken') END AS amount"
    project.write("signals/__init__.py", SIGNALS.format(broken=str(project.path / "broken")))
    project.incremental("s.good", ticks, ", batch_size 1", **daily)
    project.incremental("s.held", ticks, signals="(until_the_9th(), seen())", **daily)
    project.incremental("s.below_held", read_between("s.held"), **daily)
    project.model("s.bad", f"SELECT ts, {broken} FROM s.good", **daily)
    project.model("s.below_bad", "SELECT ts FROM s.bad", **daily)
    project.model("s.audited", "SELECT id FROM raw.ids", audits=audits.format(also=""), **daily)
    context: Any = project.context
    project.execute("CREATE SCHEMA raw; CREATE TABLE raw.broken (id INT)")
    project.execute("CREATE TABLE raw.ids AS SELECT 1 AS id")
    stories = Stories(context)
    stories.listen()
    apply = {"auto_apply": True, "no_prompts": True}
    empty = {"skip_backfill": True, "no_gaps": True}

    stories.tell("a first plan", "2024-01-09 12:00", context.plan, **apply)
    stories.tell("nothing due", "2024-01-09 12:01", context.run)
    project.execute("INSERT INTO raw.broken VALUES (1); INSERT INTO raw.ids VALUES (2)")
    stories.tell("a run that fails", "2024-01-11 12:00", context.run)
    project.execute("DELETE FROM raw.broken")

    project.incremental("s.good", f"{ticks}, 2 AS b", ", batch_size 1, forward_only true", **daily)
    project.model("s.audited", "SELECT id FROM raw.ids", audits=audits.format(also=", 2"), **daily)
    project.model("s.new", "SELECT 1 AS id", **daily)
    project.reload()
    stories.tell("three rounds", "2024-01-12 12:00", context.plan, run=True, **apply)
    with at("2024-01-13 12:00"):
        scheduler = context.scheduler()
    breaker = {"environment": "prod", "circuit_breaker": lambda: True}
    stories.tell("a circuit breaker", "2024-01-13 12:00", scheduler.run, **breaker)
    project.write("broken", "")
    stories.tell("a signal that raises", "2024-01-13 12:00", context.run)

    project.model("s.uncreatable", "SELECT * FROM raw.nothing", columns="(id INT)", kind="VIEW")
    project.reload()
    stories.tell("no table", "2024-01-13 12:01", context.plan, **apply, **empty)
    with at("2024-01-13 12:02"):
        stories.plan = context.plan_builder("prod").build()
    return stories


SIGNALS = """
    from pathlib import Path
    from sqlmesh import signal

    @signal()
    def until_the_9th(batch):
        if Path({broken!r}).exists():
            raise RuntimeError("the signal is broken")
        return batch[0][0].day < 9

    @signal()
    def seen(batch):
        return True
    """


@pytest.mark.parametrize("story", ORDERS)
@pytest.mark.long
def test_the_order_of_calls(stories: Stories, story: str) -> None:
    words = [WORDS[call.event] for call in stories.calls_of[story] if call.event in WORDS]
    line = " ".join(word for word, _ in groupby(words))
    raised = f", raised {stories.raised[story]}" if story in stories.raised else ""
    what = f"the order of events in {story!r} ({line!r} instead of {ORDERS[story]!r}{raised})"
    demand(re.fullmatch(ORDERS[story], line), what, "rounds and what is in them (events/)")


@pytest.mark.long
@pytest.mark.parametrize("event", CONSOLE_EVENTS)
def test_the_contents_of_an_event(stories: Stories, event: str) -> None:
    reliance = CONSOLE_EVENTS[event]
    for story in ORDERS:
        for call in stories.events(story, event):
            missing = set(reliance.reads) - call.arguments.keys()
            what = f"{event} (called without {sorted(missing)})"
            demand(not missing, what, reliance.concern)


def test_nothing_due_is_returned_without_an_event(stories: Stories) -> None:
    concern = "RunReport.completion of runs in which nothing was due"
    events = [
        call.event for call in stories.calls_of["nothing due"] if call.event in CONSOLE_EVENTS
    ]
    demand(not events, f"what the console hears when nothing is due (now {events})", concern)
    decided = stories.one("nothing due", "merged_missing_intervals")
    demand(decided.arguments["result"] == {}, "what merged_missing_intervals returns", concern)


def test_the_scheduled_batches(stories: Stories) -> None:
    begun = stories.one("a run that fails", "start_evaluation_progress")
    spans = {short(s.name): list(of) for s, of in begun.arguments["batched_intervals"].items()}
    what, concern = "start_evaluation_progress", "what was scheduled (Round.batches)"
    demand(spans["good"] == [(JAN_9, JAN_9 + DAY), (JAN_9 + DAY, JAN_9 + 2 * DAY)], what, concern)
    blocked = {name for name, of in spans.items() if not of}
    what = f"start_evaluation_progress (without intervals came {sorted(blocked)})"
    demand(blocked == {"held", "below_held"}, what, "`signal_not_ready`, `upstream_not_ready`")
    answers = stories.events("a run that fails", "update_signal_progress")
    signalled = {call.model for call in answers}
    demand(signalled == {"held"}, f"whose signals are told (now of {signalled})", concern)
    held = [(h.arguments["signal_name"], len(h.arguments["ready_intervals"])) for h in answers]
    what, concern = f"update_signal_progress (says {held})", "`signal_not_ready` (Round.signals)"
    demand(held == [("until_the_9th", 0), ("seen", 0)], what, concern)


def test_the_failed_nodes(stories: Stories) -> None:
    story = "a run that fails"
    ended = stories.events(story, "update_snapshot_evaluation_progress")
    failed = {
        (h.model, h.arguments["batch_idx"]) for h in ended if h.arguments["duration_ms"] is None
    }
    what = f"update_snapshot_evaluation_progress (without duration_ms came {sorted(failed)})"
    demand(failed == {("bad", 0), ("audited", 0)}, what, "which batches failed (BatchEnd.recorded)")
    for batch_end in ended:
        raising = batch_end.arguments["duration_ms"] is None
        what = "update_snapshot_evaluation_progress (where an exception is being handled)"
        demand(
            raising == (batch_end.handled is not None), what, "BatchEnd.failure and .interrupted"
        )
    listed = stories.one(story, "log_failed_models")
    skipped = stories.one(story, "log_skipped_models")
    nodes = {compat.node_of(error) for error in listed.arguments["errors"]}
    what = f"the nodes in log_failed_models (compat.node_of says {nodes})"
    identified = {(short(name), batch) for name, batch in nodes}
    demand(identified == failed, what, "the status `failed` (NodeFailure)")
    names = set(map(short, skipped.arguments["snapshot_names"]))
    demand(names == {"below_bad"}, f"log_skipped_models (says {names})", "`upstream_failed`")
    causes = {
        type(error.__cause__).__name__: error.__cause__ for error in listed.arguments["errors"]
    }
    what, concern = f"the causes in log_failed_models (are {sorted(causes)})", "`audit_failed`"
    demand("NodeAuditsErrors" in causes, what, concern)
    kinds = {type(error).__name__ for error in listed.arguments["errors"]}
    demand(kinds == {"NodeExecutionFailedError"}, f"the errors ({kinds})", "facts.failures_in")
    (audit,) = causes["NodeAuditsErrors"].errors
    has_fields(audit, AuditError)


def test_both_lists_are_passed_even_if_empty(stories: Stories) -> None:
    for event, name in (("log_skipped_models", "snapshot_names"), ("log_failed_models", "errors")):
        summary = stories.one("a first plan", event)
        concern = "rounds that ended well (Round.skipped, Round.failures, Round.circuit_broken)"
        demand(not summary.arguments[name], f"{event} of a round without failures", concern)


def test_the_rounds_of_a_plan(stories: Stories) -> None:
    begun = stories.events("three rounds", "start_evaluation_progress")
    rounds = [
        (
            bool(h.arguments.get("audit_only")),
            {short(s.name) for s in h.arguments["batched_intervals"]},
        )
        for h in begun
    ]
    what, concern = f"the rounds of a plan ({rounds})", "`audited`, and which round decides"
    demand([audit_only for audit_only, _ in rounds] == [True, False, False], what, concern)
    demand(rounds[0][1] == {"audited"}, what, concern)
    demand("new" in rounds[1][1] and "good" in rounds[2][1], what, concern)


def test_a_table_that_cannot_be_created(stories: Stories) -> None:
    summary = stories.one("no table", "log_failed_models")
    nodes = [compat.node_of(error) for error in summary.arguments["errors"]]
    what = f"log_failed_models of tables that can't be created (compat.node_of says {nodes})"
    identified = [(short(name), batch) for name, batch in nodes]
    demand(identified == [("uncreatable", None)], what, "`creation_failed`")


def test_a_batch_starts_and_ends_on_one_thread(stories: Stories) -> None:
    concern = "durations, and the batch of a start (ConsoleEvents.under_way)"
    batches = [h for h in stories.calls_of["a first plan"] if WORDS.get(h.event) == "batches"]
    for thread in {call.thread for call in batches}:
        events = [call for call in batches if call.thread == thread]
        line = " ".join(f"{h.event.partition('_')[0]}:{h.model}" for h in events) + " "
        whole = re.fullmatch(r"(start:(\S+) (audit:\2 )?update:\2 )+", line)
        demand(whole, f"the order on a worker thread ({line})", concern)


def test_where_restatements_are_read(stories: Stories) -> None:
    concern = "`restatement_refused` (compat.selected_to_restate, compat.restates_state_first)"
    if not hasattr(stories.plan, "selected_models_to_restate"):
        selector = stories.context._new_selector()
        expands = hasattr(selector, "expand_model_selections")
        demand(expands, "a selector (no 'expand_model_selections')", concern)


# An index has no attributes that are read; audits fail in another test.
READ = [protocol for protocol in PARTS if protocol not in (DeployabilityIndex, AuditError)]


@pytest.mark.parametrize("protocol", READ, ids=lambda protocol: protocol.__name__)
def test_the_fields_that_are_read(stories: Stories, protocol: type) -> None:
    snapshot = next(s for s in stories.plan.snapshots.values() if short(s.name) == "good")
    applied = stories.one("a first plan", "start_plan_evaluation")
    audits = stories.events("a first plan", "audit")
    results = [result for call in audits for result in call.arguments.get("result", ())]
    things = {
        "Plan": stories.plan,
        "Snapshot": snapshot,
        "Model": snapshot.node,
        "AuditReturn": results[0] if results else None,
        "Context": stories.context,
        "Scheduler": stories.scheduler,
        "StateSync": stories.context.state_sync,
        "AppliedPlan": applied.arguments["plan"],
    }
    has_fields(things[protocol.__name__], protocol)
