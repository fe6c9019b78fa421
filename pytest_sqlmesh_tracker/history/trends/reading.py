"""Reading from a history how its models fared."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from pytest_sqlmesh_tracker.history.opening import LONGEST_WAIT
from pytest_sqlmesh_tracker.history.reading import readable
from pytest_sqlmesh_tracker.history.rows import as_stored, from_microseconds, read_outcomes
from pytest_sqlmesh_tracker.history.schema import READ

from .durations import MOST, Execution, durations_of
from .types import Durations, EnvironmentTrend, ModelTrend, Timeline, TimelineEntry, Trends

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_Key = tuple[str, str]
"""The names of an environment and of a model."""

_WAITS = """
    (waiting_since IS NOT NULL AND NOT (reason = 'cron_not_due' AND json_array_length(reasons) = 1))
"""
"""Whether something other than its cron holds intervals of a model back, as `is_waiting` says."""

_CONSIDERED = """
    (
        coalesce(reason, '')
        NOT IN ('not_selected', 'no_changes', 'not_applied', 'not_in_environment')
    )
"""
"""Whether an invocation was about the model at all."""
_LOADED = """
    (
        status = 'executed'
        OR (status = 'audited' AND kind IN ('external', 'embedded', 'audit'))
        OR (
            status = 'skipped'
            AND reason IN ('up_to_date', 'cron_not_due', 'not_evaluatable')
            AND waiting_since IS NULL
        )
    )
"""
"""Whether an outcome shows that a model that failed before does not fail any more. What failed can
have been loaded in another environment; then no complete interval is missing. Audits of a model
that is evaluated say nothing of its last evaluation."""
_INVOCATIONS = f"""
    CREATE TEMPORARY TABLE counted AS
    SELECT
        id,
        any_value(environment) AS environment,
        any_value(started_at) AS started_at,
        min(number) AS number,
        bool_and(test IS NOT NULL) AS is_test
    FROM {READ}.invocations
    GROUP BY id
    HAVING NOT bool_and(superseded)
"""
"""Each invocation once, even if it was reported for several tests. Its models are those of the
report that was appended first."""
_RUNS = """
    CREATE TEMPORARY TABLE runs AS
    SELECT
        number,
        environment,
        started_at,
        row_number() OVER (PARTITION BY environment ORDER BY started_at, number) AS place,
        $1::VARCHAR IS NULL OR epoch_us(started_at) >= epoch_us($1::TIMESTAMPTZ) AS is_shown
    FROM counted
    WHERE is_test = (SELECT bool_and(is_test) FROM counted)
"""
"""Those that began before the time from which on invocations are shown say since when a model
fails."""
_LEFT_OUT = """
    SELECT count(*)
    FROM counted
    WHERE
        is_test != (SELECT bool_and(is_test) FROM counted)
        AND ($1::VARCHAR IS NULL OR epoch_us(started_at) >= epoch_us($1::TIMESTAMPTZ))
"""
_ENVIRONMENTS = """
    SELECT
        environment,
        count(*),
        epoch_us(min(started_at)),
        epoch_us(max(started_at))
    FROM runs
    WHERE is_shown
    GROUP BY environment
    ORDER BY max(started_at) DESC, environment
"""
_MODELS = f"""
    CREATE TEMPORARY TABLE trends AS
    SELECT
        environment,
        model,
        count(*) FILTER (is_shown) AS invocations,
        count(*) FILTER (is_shown AND status = 'executed') AS executed,
        count(*) FILTER (is_shown AND status = 'failed') AS failed,
        max(place) AS last_place,
        arg_max(number, place) AS last_number,
        arg_max(position, place) AS position,
        epoch_us(max(started_at)) AS last_seen,
        epoch_us(max(started_at) FILTER (status = 'executed')) AS last_executed,
        coalesce(max(place) FILTER ({_LOADED}), 0) AS loaded_place,
        coalesce(max(place) FILTER ({_CONSIDERED} AND NOT {_WAITS}), 0) AS ready_place,
        arg_max({{'cause': cause}}, place) FILTER (status = 'executed') AS last_cause
    FROM (SELECT * EXCLUDE (started_at) FROM {READ}.outcomes) JOIN runs USING (number)
    GROUP BY environment, model
    HAVING bool_or(is_shown)
"""
_STANDING = f"""
    SELECT
        environment,
        model,
        epoch_us(min(started_at) FILTER (is_failure AND place > loaded_place)),
        count(*) FILTER (is_failure AND place > loaded_place),
        count(*) FILTER (is_wait AND place > ready_place)
    FROM (
        SELECT number, model, status = 'failed' AS is_failure, {_WAITS} AS is_wait
        FROM {READ}.outcomes
        WHERE status = 'failed' OR waiting_since IS NOT NULL
    )
    JOIN runs USING (number)
    JOIN trends USING (environment, model)
    GROUP BY environment, model
"""
_EXECUTIONS = f"""
    CREATE TEMPORARY TABLE executions AS
    SELECT environment, model, number, place, epoch_us(runs.started_at) AS started_at, duration
    FROM (
        SELECT number, model, duration
        FROM {READ}.outcomes
        WHERE status = 'executed' AND duration IS NOT NULL
    )
    JOIN runs USING (number)
    QUALIFY row_number() OVER (PARTITION BY environment, model ORDER BY place DESC) <= {MOST}
"""
_EVALUATED = f"""
    SELECT environment, model, started_at, duration, evaluated
    FROM executions
    JOIN (
        SELECT
            number,
            model,
            sum(epoch_us(interval_end) - epoch_us(interval_start)) AS evaluated
        FROM {READ}.batches
        WHERE number >= (SELECT min(number) FROM executions) AND status = 'executed'
        GROUP BY ALL
    )
    USING (number, model)
    ORDER BY place
"""
_TIMELINE = f"""
    SELECT number, epoch_us(runs.started_at), command, source, test
    FROM {READ}.outcomes
    JOIN runs USING (number)
    JOIN {READ}.invocations USING (number)
    WHERE is_shown AND runs.environment = $1 AND model = $2
    ORDER BY place DESC
"""


def read_trends(
    path: str | os.PathLike[str],
    since: datetime | None = None,
    *,
    longest_wait: float = LONGEST_WAIT,
) -> Trends:
    """How the models of a history fared. Superseded tries of tests are left out.

    Args:
        path: the history.
        since: leave out invocations that began before this time.
        longest_wait: how many seconds to wait for a process that appends.

    Raises:
        ValueError: the file is not a history, or a newer version has written it; the message is one
            line.
        OSError: the file can't be read.
    """
    with readable(path, longest_wait=longest_wait) as connection:
        left_out = select_runs(connection, since)
        return Trends(environments=tuple(_environments(connection)), tests_left_out=left_out)


def read_timelines(
    path: str | os.PathLike[str],
    trends: Sequence[ModelTrend],
    since: datetime | None = None,
    *,
    longest_wait: float = LONGEST_WAIT,
) -> list[Timeline]:
    """These models, invocation by invocation.

    Args and Raises: as for `read_trends`.
    """
    with readable(path, longest_wait=longest_wait) as connection:
        select_runs(connection, since)
        return [Timeline(trend=trend, entries=_entries(connection, trend)) for trend in trends]


def select_runs(connection: DuckDBPyConnection, since: datetime | None) -> int:
    """Make the table of the invocations that count; return how many tests' were left out."""
    moment = since and since.isoformat()
    connection.execute(_INVOCATIONS)
    connection.execute(_RUNS, [moment])
    [(left_out,)] = connection.execute(_LEFT_OUT, [moment]).fetchall()
    return int(left_out)


def _environments(connection: DuckDBPyConnection) -> Iterator[EnvironmentTrend]:
    models = _models(connection)
    connection.execute(_ENVIRONMENTS)
    for name, invocations, first, last in connection.fetchall():
        yield EnvironmentTrend(
            environment=name,
            invocations=invocations,
            first=from_microseconds(first),
            last=from_microseconds(last),
            models=tuple(sorted(models.get(name, ()), key=lambda model: not model.is_current)),
        )


def _models(connection: DuckDBPyConnection) -> Mapping[str, Sequence[ModelTrend]]:
    """Environment → its models, in topological order."""
    connection.execute(_MODELS)
    # The last invocation may have failed before it reached any model.
    rows = connection.execute(
        "SELECT environment, model, last_number, last_place = max(last_place) OVER "
        "(PARTITION BY environment), last_seen, invocations, executed, failed, last_executed, "
        "last_cause.cause FROM trends ORDER BY position, model"
    ).fetchall()
    outcomes = read_outcomes(connection, [(number, model) for _, model, number, *_ in rows])
    standing, durations = _standing(connection), _durations(connection)
    models: dict[str, list[ModelTrend]] = defaultdict(list)
    for environment, model, number, current, seen, count, executed, failed, at, cause in rows:
        failing_since, failures, waits = standing.get((environment, model), (None, 0, 0))
        trend = ModelTrend(
            environment=environment,
            last=outcomes[number, model],
            last_seen=from_microseconds(seen),
            is_current=current,
            invocations=count,
            executed=executed,
            failed=failed,
            last_executed=None if at is None else from_microseconds(at),
            last_cause=cause,
            failing_since=None if failing_since is None else from_microseconds(failing_since),
            failures=failures,
            waits=waits,
            durations=durations.get((environment, model)),
        )
        models[environment].append(trend)
    return models


def _standing(connection: DuckDBPyConnection) -> Mapping[_Key, tuple[int | None, int, int]]:
    """Since when models fail, in microseconds, how often they failed, and how often they waited."""
    connection.execute(_STANDING)
    return {(environment, model): (*facts,) for environment, model, *facts in connection.fetchall()}


def _durations(connection: DuckDBPyConnection) -> Mapping[_Key, Durations | None]:
    connection.execute(_EXECUTIONS)
    connection.execute(_EVALUATED)
    executions: dict[_Key, list[Execution]] = defaultdict(list)
    for environment, model, started_at, duration, evaluated in connection.fetchall():
        execution = Execution(
            from_microseconds(started_at), duration, timedelta(microseconds=evaluated)
        )
        executions[environment, model].append(execution)
    return {key: durations_of(each) for key, each in executions.items()}


def _entries(connection: DuckDBPyConnection, trend: ModelTrend) -> tuple[TimelineEntry, ...]:
    model = as_stored(trend.name)
    connection.execute(_TIMELINE, [trend.environment, model])
    rows = connection.fetchall()
    outcomes = read_outcomes(connection, [(number, model) for number, *_ in rows])
    return tuple(
        TimelineEntry(
            started_at=from_microseconds(started_at),
            command=command,
            source=source,
            test=test,
            outcome=outcomes[number, model],
        )
        for number, started_at, command, source, test in rows
    )
