"""Passwords and tokens in errors do not reach a report, wherever SQLMesh raises the errors."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr

from pytest_sqlmesh_tracker import RunReport, sqlmesh_run_tracker
from pytest_sqlmesh_tracker.tracking.errors.redaction import Secrets
from pytest_sqlmesh_tracker.tracking.errors.secrets import redacted, secrets_of
from pytest_sqlmesh_tracker.tracking.events import invocation
from tests.projects import Project, at

CONFIGURED = "tok3n/of lake'93"
IN_ENVIRONMENT = "dont-tell-4711"

CONFIG = """
gateways:
  local:
    connection:
      type: duckdb
      database: {folder}/wh.db
    test_connection:
      type: duckdb
      token: "{token}"
    {more}
default_gateway: local
model_defaults:
  dialect: duckdb
  start: 2024-01-01
disable_anonymized_analytics: true
before_all: ["{before_all}"]
"""


@pytest.fixture
def secretive(project: Project) -> Project:
    """A project with a token in its configuration; no models yet."""
    configure(project)
    return project


def configure(project: Project, before_all: str = "SELECT 1", more: str = "") -> None:
    text = CONFIG.format(folder=project.path, token=CONFIGURED, before_all=before_all, more=more)
    project.write("config.yaml", text)


def planned(project: Project, **arguments: Any) -> RunReport:
    """Plan the project, ignoring errors; return its report, after checking it for secrets."""
    with sqlmesh_run_tracker(project.context) as tracker, at("2024-01-09 12:00"):
        try:
            project.context.plan(auto_apply=True, no_prompts=True, **arguments)
        except Exception:
            logging.getLogger(__name__).debug("of which the report tells", exc_info=True)
    text = tracker.last.to_json()
    assert [secret for secret in (CONFIGURED, IN_ENVIRONMENT, "hunter2") if secret in text] == []
    return tracker.last


def test_a_password_in_the_url_of_a_connection(secretive: Project) -> None:
    message = "connection to postgresql://etl:hunter2-S3cret@db/prod failed"
    secretive.model("m.orders", f"SELECT error('{message}') AS id")
    outcome = planned(secretive)["m.orders"]
    outcome_error = outcome.error or ""
    assert "connection to postgresql://etl:***@db/prod failed" in outcome_error
    assert "connection to postgresql://etl:***@db/prod failed" in outcome.message


@pytest.mark.parametrize("spelled", [CONFIGURED, "tok3n%2Fof%20lake%2793", "tok3n%2fof+lake%2793"])
def test_secrets_in_the_configuration(secretive: Project, spelled: str) -> None:
    literal = spelled.replace("'", "''")
    secretive.model("m.orders", f"SELECT error('the lake refused {literal} today') AS id")
    assert "the lake refused *** today" in (planned(secretive)["m.orders"].error or "")


def test_secrets_in_environment_variables(
    secretive: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    secretive.write(
        "models/partner.py",
        """
        import os
        from sqlmesh import model

        @model("m.partner", columns={"id": "int"})
        def execute(context, start, end, execution_time, **kwargs):
            raise RuntimeError("401 for " + os.environ["PARTNER_API_TOKEN"])
        """,
    )
    with monkeypatch.context() as environment:
        environment.setenv("PARTNER_API_TOKEN", IN_ENVIRONMENT)
        with sqlmesh_run_tracker(secretive.context) as tracker, at("2024-01-09 12:00"):
            with pytest.raises(Exception, match="failed"):
                secretive.context.plan(auto_apply=True, no_prompts=True)
    # The report is made when it is first read: then the variable is gone.
    assert "PARTNER_API_TOKEN" not in os.environ
    assert "RuntimeError: 401 for ***" in (tracker.last["m.partner"].error or "")
    assert IN_ENVIRONMENT not in tracker.last.to_json()


def test_statements_before_all(project: Project) -> None:
    configure(project, before_all="SELECT error('FATAL: login failed, password=hunter2')")
    project.model("m.orders", "SELECT 1 AS id")
    report = planned(project)
    assert report.completion == "raised"
    assert "login failed, password=***" in (report.error or "")


def test_a_statement_that_creates_a_secret(project: Project) -> None:
    options = "TYPE nothing, KEY_ID 'hunter2-id', SECRET 'hunter2-S3cret', REGION 'eu-west-1'"
    configure(project, before_all=f"CREATE SECRET lake ({options})")
    project.model("m.orders", "SELECT 1 AS id")
    error = planned(project).error or ""
    assert "KEY_ID '***', SECRET '***', REGION 'eu-west-1'" in error


def test_an_unreachable_state(project: Project) -> None:
    database = f"{project.path}/nowhere/state.db?motherduck_token=hunter2"
    state = f'state_connection: {{type: duckdb, database: "{database}"}}'
    configure(project, more=state)
    project.model("m.orders", "SELECT 1 AS id")
    report = planned(project)
    assert report.completion == "raised"
    assert "motherduck_token=***" in (report.error or "")
    assert "nowhere/state.db" in (report.error or "")


def test_a_signal_that_raises(secretive: Project) -> None:
    secretive.write(
        "signals/__init__.py",
        f"""
        from sqlmesh import signal

        @signal()
        def ready(batch):
            raise RuntimeError({CONFIGURED!r} + " is not valid any more")
        """,
    )
    secretive.model("m.orders", "SELECT 1 AS id", signals="(ready(),)")
    assert "*** is not valid any more" in (planned(secretive).error or "")


def test_an_error_of_the_tracker(secretive: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: Any, **__: Any) -> None:
        raise ValueError(f"can't read {CONFIGURED}")

    secretive.model("m.orders", "SELECT 1 AS id")
    monkeypatch.setattr(invocation, "plan_facts", failing)
    message = planned(secretive)["m.orders"].message
    assert message == "unknown: the tracker failed: ValueError: can't read ***"


def test_arguments(secretive: Project) -> None:
    secretive.model("m.orders", "SELECT 1 AS id")
    report = planned(secretive, select_models=["postgresql://etl:hunter2@db"])
    assert report.arguments["select_models"] == ["postgresql://etl:***@db"]
    assert report.arguments["auto_apply"] is True


def test_secrets_are_collected_only_for_errors(
    secretive: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[Any] = []
    monkeypatch.setattr(invocation, "secrets_of", looked.append)
    secretive.model("m.orders", "SELECT 1 AS id")
    assert planned(secretive).executed == {"m.orders"}
    assert looked == []


def test_a_text_is_not_shown_if_secrets_are_unknown(
    secretive: Project, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def failing(*_: Any) -> Secrets:
        raise ValueError("broken")

    secretive.model("m.orders", f"SELECT error('{CONFIGURED[:5]}') AS id")
    monkeypatch.setattr(Secrets, "among", failing)
    outcome = planned(secretive)["m.orders"]
    assert outcome.status == "failed"
    assert outcome.error == "(not shown: its secrets could not be determined)"
    assert "failed to determine which values are secret" in caplog.text


class TestForCallersThatPrintErrors:
    @pytest.fixture(autouse=True)
    def environment(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        for name in list(os.environ):
            monkeypatch.delenv(name)
        monkeypatch.setenv("WAREHOUSE_PASSWORD", IN_ENVIRONMENT)
        yield
        monkeypatch.undo()

    def test_secrets_are_hidden_without_a_context(self) -> None:
        text = f"ConfigError: {IN_ENVIRONMENT} is no password; pwd=abc"
        assert redacted(text) == "ConfigError: *** is no password; pwd=***"

    def test_secrets_of_a_context_are_hidden(self, secretive: Project) -> None:
        assert redacted(f"it is {CONFIGURED}", secretive.context) == "it is ***"
        assert redacted(f"it is {CONFIGURED}") == f"it is {CONFIGURED}"

    def test_paths_of_files_stay_readable(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = tmp_path / "credentials.json"
        file.touch()
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
        monkeypatch.setenv("LONG_TOKEN", "/" + "x" * 5000)
        assert redacted(f"{file} is empty") == f"{file} is empty"
        assert redacted(f"/{'x' * 5000} is refused") == "*** is refused"

    def test_every_kind_of_setting(self) -> None:
        class Connection(BaseModel):
            password: SecretStr = SecretStr("as-secret-str-1")
            token: int = 4711471147
            headers: list[dict[str, str]] = [{"Authorization": "Basic in-a-list-2"}]
            secrets: dict[str, dict[str, Any]] = {
                "lake": {"type": "s3-type-3", "secret": "in-a-dict-4", "key_id": "in-a-dict-5"}
            }
            catalogs: set[str] = {"md:db?motherduck_token=in-a-path-6"}
            nothing: None = None
            autocommit: bool = True
            cls: type = dict

        text = (
            "as-secret-str-1 4711471147 in-a-list-2 s3-type-3 in-a-dict-4 in-a-dict-5 in-a-path-6"
        )
        context = SimpleNamespace(configs={"path": Connection()})
        assert redacted(text, context) == "*** *** *** s3-type-3 *** *** ***"

    def test_recursive_settings(self) -> None:
        around: dict[str, Any] = {"token": "inside-of-itself-1"}
        around["again"] = around
        context = SimpleNamespace(configs={"path": around})
        assert redacted("inside-of-itself-1", context) == "***"

    def test_an_unreadable_configuration(self, caplog: pytest.LogCaptureFixture) -> None:
        assert secrets_of(SimpleNamespace(configs=None)) is None
        assert "failed to determine which values are secret" in caplog.text
