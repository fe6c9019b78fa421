"""Assertions about SQLMesh assets that a test has materialized on a sandbox."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import dagster as dg

from pytest_sqlmesh_tracker.dagster.definitions.naming import STATUS_CHECK
from pytest_sqlmesh_tracker.dagster.definitions.ops import assets_of_op, parameters_annotated_with
from pytest_sqlmesh_tracker.dagster.events.outcome_record import read_record
from pytest_sqlmesh_tracker.outcomes.vocabulary import Reason, Status
from pytest_sqlmesh_tracker.suggestions import close_matches

from .project import SqlmeshProject
from .resource import SqlmeshResource

__all__ = [
    "Key",
    "Materialize",
    "assert_check_failed",
    "assert_check_passed",
    "assert_materialized",
    "assert_materialized_exactly",
    "assert_not_materialized",
    "assert_sqlmesh_status",
    "bind",
]

Materialize = Callable[..., dg.ExecuteInProcessResult]
"""The type of the fixture `materialize_sqlmesh`."""
Key = str | Sequence[str] | dg.AssetKey
"""An asset key as `"sales/orders"`, as a list of its parts, or itself."""
_ALL_KEYS = "sqlmesh_tracker_keys"
"""The attribute of a result that has the keys of all its assets and checks, selected or not."""


@contextmanager
def materializing(project: Any) -> Iterator[Callable[..., dg.ExecuteInProcessResult]]:
    """The value of the fixture `materialize_sqlmesh`: a function that materializes on a sandbox.

    All its runs are on one Dagster instance, so that each has the history of the earlier ones.

    Args:
        project: the test's `sqlmesh_project`.
    """
    with dg.DagsterInstance.ephemeral() as instance:

        def materialize(
            *assets: Any,
            selection: Any = None,
            resources: Mapping[str, Any] | None = None,
            run_config: Any = None,
        ) -> dg.ExecuteInProcessResult:
            """Materialize assets in this process. A failure does not raise: the result has it.

            Args:
                assets: assets of SQLMesh, and any others upstream or downstream of them.
                selection: a key, a list of keys, or an `AssetSelection`; None for all assets.
                resources: resources other than SQLMesh's: each `SqlmeshResource` is bound to the
                    sandbox.
                run_config: the run config, as `dagster.materialize` takes it.
            """
            result = dg.materialize(
                assets,
                selection=_selection(selection),
                resources=_bound_resources(project, assets, resources or {}),
                instance=instance,
                run_config=run_config,
                raise_on_error=False,
            )
            # Dagster's result has only the ops that were selected.
            vars(result)[_ALL_KEYS] = _keys_of(assets)
            return result

        yield materialize


def _bound_resources(
    project: Any, assets: Iterable[Any], resources: Mapping[str, Any]
) -> dict[str, Any]:
    all_resources = {**dict.fromkeys(_sqlmesh_resources(assets)), **resources}
    return {
        name: bind(project) if isinstance(resource, SqlmeshResource | None) else resource
        for name, resource in all_resources.items()
    }


def bind(project: Any) -> dg.ResourceDefinition:
    """A `SqlmeshResource` that is bound to a test's sandbox: its copy, clock and faults.

    The fixture `materialize_sqlmesh` binds every resource of its assets by itself. Pass this one
    where a test evaluates a schedule or a sensor, or runs a job.

    Args:
        project: the test's `sqlmesh_project`.
    """

    def bound(_: Any) -> Iterator[SqlmeshResource]:
        # In a function: otherwise, Dagster would make a new resource of the fields.
        resource = SqlmeshResource(project=SqlmeshProject(project.path))
        resource._bound_to = project.context
        try:
            yield resource
        finally:
            resource.teardown_after_execution(None)

    return dg.ResourceDefinition(bound)


def _sqlmesh_resources(assets: Iterable[Any]) -> set[str]:
    """The keys under which ops of `@sqlmesh_assets` need a `SqlmeshResource`."""
    parameters: set[str] = set()
    for each in assets:
        op = getattr(each, "node_def", None)
        if isinstance(op, dg.OpDefinition) and assets_of_op(op) is not None:
            parameters |= parameters_annotated_with(op, SqlmeshResource)
    return parameters


def _keys_of(assets: Sequence[Any]) -> set[dg.AssetKey | dg.AssetCheckKey]:
    checks = (getattr(each, "check_keys", ()) for each in assets)
    return {*dg.AssetSelection.all().resolve(assets), *(key for keys in checks for key in keys)}


def _selection(selection: Any) -> Any:
    if selection is None or isinstance(selection, dg.AssetSelection):
        return selection
    if isinstance(selection, str | dg.AssetKey):
        selection = [selection]
    return dg.AssetSelection.assets(*map(_asset_key, selection))


def assert_materialized(result: dg.ExecuteInProcessResult, *keys: Key) -> None:
    """Assert that each of these assets was materialized.

    Args:
        result: what `materialize_sqlmesh` returned.
        keys: keys of assets, each as a `Key`.

    Raises:
        AssertionError: one of them was not materialized; the message has the reason.
        LookupError: an asset does not exist; the message has close matches.
        TypeError: no key is passed.
    """
    __tracebackhide__ = True
    for key in _known(result, keys):
        if key not in _materialized(result):
            raise AssertionError(f"{key.to_user_string()} was not materialized{_why(result, key)}")


def assert_not_materialized(result: dg.ExecuteInProcessResult, *keys: Key) -> None:
    """Assert that none of these assets was materialized; otherwise as `assert_materialized`."""
    __tracebackhide__ = True
    for key in _known(result, keys):
        if key in _materialized(result):
            raise AssertionError(f"{key.to_user_string()} was materialized{_why(result, key)}")


def assert_materialized_exactly(result: dg.ExecuteInProcessResult, keys: Iterable[Key]) -> None:
    """Assert that these assets were materialized, and no others.

    Raises:
        AssertionError: an asset is missing, or another one was materialized.
        LookupError: an asset does not exist; the message has close matches.
        TypeError: `keys` is a single key.
    """
    __tracebackhide__ = True
    if isinstance(keys, str | dg.AssetKey):
        raise TypeError(f"keys must be a list of keys, not {keys!r}")
    expected, actual = set(_known(result, tuple(keys), some=False)), _materialized(result)
    complaints = [
        f"{_key_text(key)} was {'' if key in actual else 'not '}materialized{_why(result, key)}"
        for key in sorted(expected ^ actual, key=_key_text)
    ]
    if complaints:
        raise AssertionError("\n".join(complaints))


def assert_check_passed(result: dg.ExecuteInProcessResult, key: Key, name: str) -> None:
    """Assert that a check of an asset was evaluated, and passed.

    Args:
        result: what `materialize_sqlmesh` returned.
        key: the asset's key, as a `Key`.
        name: the check's name.

    Raises:
        AssertionError: the check failed, or was not evaluated.
        LookupError: the asset or its check does not exist.
    """
    __tracebackhide__ = True
    evaluation = _evaluated(result, key, name)
    if not evaluation.passed:
        raise AssertionError(f"{_of(evaluation)} failed: {_description(evaluation)}")


def assert_check_failed(
    result: dg.ExecuteInProcessResult,
    key: Key,
    name: str,
    severity: dg.AssetCheckSeverity | str | None = None,
) -> None:
    """Assert that a check of an asset was evaluated, and failed; otherwise as
    `assert_check_passed`.

    Args:
        severity: `WARN` or `ERROR`; None means either.
    """
    __tracebackhide__ = True
    evaluation = _evaluated(result, key, name)
    if evaluation.passed:
        raise AssertionError(f"{_of(evaluation)} passed: {_description(evaluation)}")
    if severity is not None and evaluation.severity is not dg.AssetCheckSeverity(severity):
        expected = dg.AssetCheckSeverity(severity).value
        raise AssertionError(
            f"{_of(evaluation)} failed with {evaluation.severity.value}, not {expected}: "
            f"{_description(evaluation)}"
        )


def assert_sqlmesh_status(
    result: dg.ExecuteInProcessResult,
    key: Key,
    status: Status | str,
    reason: Reason | str | None = None,
) -> None:
    """Assert what SQLMesh did with the model of an asset: the check `sqlmesh_execution_status`.

    Args:
        result: what `materialize_sqlmesh` returned.
        key: the asset's key, as a `Key`.
        status: a `Status`, or its value.
        reason: a `Reason`, or its value, which must be the primary one; None means any.

    Raises:
        AssertionError: the model has another status or reason.
        LookupError: the asset does not exist.
        ValueError: the status or the reason does not exist.
    """
    __tracebackhide__ = True
    status, reason = Status(status), None if reason is None else Reason(reason)
    evaluation = _evaluated(result, key, STATUS_CHECK)
    record = read_record(evaluation.metadata)
    if record is None:
        raise AssertionError(f"{_of(evaluation)} was not evaluated by SQLMesh's op")
    complaint = f"{_key_text(key)} was {record.message}; expected"
    if record.status is not status:
        raise AssertionError(f"{complaint} {status}")
    if reason is not None and reason not in record.reasons:
        actual = ", ".join(map(str, record.reasons)) or "no reason"
        raise AssertionError(f"{complaint} {reason}, found {actual}")


def _materialized(result: dg.ExecuteInProcessResult) -> set[dg.AssetKey]:
    events = result.get_asset_materialization_events()
    return {event.asset_key for event in events if event.asset_key}


def _evaluations(result: dg.ExecuteInProcessResult) -> dict[dg.AssetCheckKey, Any]:
    """The latest evaluation of each check: a retry can have evaluated it again."""
    return {each.asset_check_key: each for each in result.get_asset_check_evaluations()}


def _evaluated(result: dg.ExecuteInProcessResult, key: Key, name: str) -> Any:
    __tracebackhide__ = True
    (asset,) = _known(result, (key,))
    checks = (key for key in _all_keys(result) if isinstance(key, dg.AssetCheckKey))
    names = sorted(check.name for check in checks if check.asset_key == asset)
    if name not in names:
        raise LookupError(f"{_key_text(key)} has no check {name!r}{_hint(name, names)}")
    evaluation = _evaluations(result).get(dg.AssetCheckKey(asset, name))
    if evaluation is None:
        raise AssertionError(f"{name} of {_key_text(key)} was not evaluated{_why(result, asset)}")
    return evaluation


def _why(result: dg.ExecuteInProcessResult, key: dg.AssetKey) -> str:
    evaluation = _evaluations(result).get(dg.AssetCheckKey(key, STATUS_CHECK))
    return f": {_description(evaluation)}" if evaluation else ""


def _of(evaluation: Any) -> str:
    return f"{evaluation.check_name} of {evaluation.asset_key.to_user_string()}"


def _description(evaluation: Any) -> str:
    return str(evaluation.description or "no description")


def _known(
    result: dg.ExecuteInProcessResult, keys: Sequence[Key], *, some: bool = True
) -> list[dg.AssetKey]:
    __tracebackhide__ = True
    if some and not keys:
        raise TypeError("at least one asset key is required")
    known = {_key_text(key) for key in _all_keys(result) if isinstance(key, dg.AssetKey)}
    for key in keys:
        if _key_text(key) not in known:
            raise LookupError(f"no asset {_key_text(key)!r}{_hint(_key_text(key), known)}")
    return [_asset_key(key) for key in keys]


def _all_keys(result: dg.ExecuteInProcessResult) -> set[dg.AssetKey | dg.AssetCheckKey]:
    graph = result.job_def.asset_layer.asset_graph
    unselected = vars(result).get(_ALL_KEYS, ())
    return {*graph.get_all_asset_keys(), *graph.asset_check_keys, *unselected}


def _hint(word: str, valid: Iterable[str]) -> str:
    close = close_matches(word, valid)
    if close:
        return f"; did you mean {' or '.join(close)}?"
    return f"; existing: {', '.join(sorted(valid)[:8]) or 'none'}"


def _asset_key(key: Key) -> dg.AssetKey:
    if isinstance(key, dg.AssetKey):
        return key
    return dg.AssetKey.from_user_string(key) if isinstance(key, str) else dg.AssetKey(list(key))


def _key_text(key: Key) -> str:
    return _asset_key(key).to_user_string()
