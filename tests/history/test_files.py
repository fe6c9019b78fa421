"""The file of a history: what is rejected, its versions, and what a read-only one permits."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import cast
from uuid import uuid4

import duckdb
import pytest

from pytest_sqlmesh_tracker import (
    AuditOutcome,
    Batch,
    ModelOutcome,
    RunReport,
    dump_reports,
    load_reports,
)
from pytest_sqlmesh_tracker.history import schema
from pytest_sqlmesh_tracker.history.appending import move_recent
from pytest_sqlmesh_tracker.history.opening import check, opened
from pytest_sqlmesh_tracker.history.schema import (
    AUDITS,
    BATCHES,
    INVOCATIONS,
    OUTCOMES,
    TABLES,
    VERSION,
)
from pytest_sqlmesh_tracker.history.trends.reading import read_trends
from tests.builders import executed, run

NIGHT = run(executed("a.x"))
ANOTHER_NIGHT = NIGHT.model_copy(update={"id": uuid4()})


@pytest.fixture
def history(tmp_path: Path) -> Path:
    return tmp_path / "runs.duckdb"


@contextmanager
def database(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with closing(duckdb.connect(str(path))) as connection:
        yield connection


def calls(history: Path) -> list[Callable[[], object]]:
    """What checks, writes and reads a history."""
    return [
        lambda: check(history),
        lambda: dump_reports(history, [NIGHT]),
        lambda: load_reports(history),
    ]


class TestOtherFiles:
    @pytest.mark.parametrize("made", ["TABLE shop.orders (id INT)", "VIEW shop.orders AS SELECT 1"])
    def test_a_database_with_other_tables_is_rejected_and_left_as_it_is(
        self, history: Path, made: str
    ) -> None:
        with database(history) as connection:
            connection.execute(f"CREATE SCHEMA shop; CREATE {made}")
        content = history.read_bytes()
        message = "not a history: this DuckDB database has other tables, such as shop.orders"
        for call in calls(history):
            with pytest.raises(ValueError, match=message):
                call()
        assert history.read_bytes() == content

    @pytest.mark.parametrize("content", [b"", b"{}", b"a" * 20_000])
    def test_what_is_not_a_database_is_rejected(self, history: Path, content: bytes) -> None:
        history.write_bytes(content)
        for call in calls(history):
            with pytest.raises(ValueError, match="not a history: not a DuckDB database") as caught:
                call()
            assert "\n" not in str(caught.value)
        assert history.read_bytes() == content

    def test_a_file_that_does_not_exist_can_be_created_but_not_read(self, history: Path) -> None:
        check(history)
        with pytest.raises(FileNotFoundError):
            load_reports(history)
        assert not history.exists()

    def test_tables_of_the_user_in_a_history_do_no_harm(self, history: Path) -> None:
        dump_reports(history, [NIGHT])
        with database(history) as connection:
            connection.execute("CREATE TABLE owners AS SELECT 'a.x' AS model, 'Ann' AS owner")
        other = NIGHT.model_copy(update={"environment": "dev", "id": uuid4()})
        dump_reports(history, [other])
        assert load_reports(history) == [NIGHT, other]


@pytest.fixture
def of_version_1(history: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A history as version 1 wrote it, with a report in its tables and a recent one."""
    with monkeypatch.context() as earlier:
        earlier.setattr(schema, "VERSION", 1)
        earlier.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:1])
        earlier.delitem(cast(dict[str, str], OUTCOMES.columns), "file")
        dump_reports(history, [NIGHT])
        with opened(history, writing=True) as connection:
            move_recent(connection)
            connection.execute("COMMIT")
        dump_reports(history, [ANOTHER_NIGHT])
    with database(history) as connection:
        columns = connection.execute("SELECT * FROM outcomes").description
    assert "file" not in {name for name, *_ in columns or ()}
    return history


class TestVersions:
    def test_an_earlier_version_is_read_and_left_as_it_is(self, of_version_1: Path) -> None:
        content = of_version_1.read_bytes()
        assert load_reports(of_version_1) == [NIGHT, ANOTHER_NIGHT]
        assert read_trends(of_version_1).environments[0].invocations == 2
        assert of_version_1.read_bytes() == content

    def test_an_earlier_version_is_migrated_by_what_appends(self, of_version_1: Path) -> None:
        later = run(executed("a.x", file="models/a.x.sql"))
        later = later.model_copy(update={"id": uuid4()})
        dump_reports(of_version_1, [later])
        assert load_reports(of_version_1) == [NIGHT, ANOTHER_NIGHT, later]
        with database(of_version_1) as connection:
            files = connection.execute("SELECT DISTINCT file FROM outcomes ORDER BY ALL").fetchall()
            version = connection.execute("FROM sqlmesh_tracker.version").fetchall()
        assert files == [("models/a.x.sql",), (None,)]
        assert version == [(VERSION,)]

    def test_a_newer_version_is_rejected_whoever_reads_or_writes(self, history: Path) -> None:
        dump_reports(history, [NIGHT])
        with database(history) as connection:
            connection.execute("UPDATE sqlmesh_tracker.version SET version = version + 1")
        message = f"schema version {VERSION + 1}, but .* upgrade pytest-sqlmesh-tracker$"
        for call in calls(history):
            with pytest.raises(ValueError, match=message) as caught:
                call()
            assert "\n" not in str(caught.value)

    def test_the_columns_are_the_fields_of_reports(self) -> None:
        children = {"batches", "audits"}
        fields = {
            INVOCATIONS: set(RunReport.model_fields) - {"outcomes", "id"},
            OUTCOMES: set(ModelOutcome.model_fields) - children - {"name"},
            BATCHES: set(Batch.model_fields),
            AUDITS: set(AuditOutcome.model_fields),
        }
        for table, names in fields.items():
            assert {table.fields.get(column, column) for column in table.columns} == names

    def test_what_users_query_has_these_columns(self, history: Path) -> None:
        dump_reports(history, [])
        with database(history) as connection:
            for table in TABLES:
                columns = connection.execute(f"DESCRIBE {table.name}").fetchall()
                types = {"TIMESTAMPTZ": "TIMESTAMP WITH TIME ZONE"}
                assert [(name, type_) for name, type_, *_ in columns] == [
                    (name, types.get(type_, type_))
                    for name, type_ in (*table.keys.items(), *table.columns.items())
                ]


class TestReadOnly:
    def test_a_file_and_its_folder_can_be_read(self, history: Path) -> None:
        dump_reports(history, [NIGHT])
        history.chmod(stat.S_IRUSR)
        history.parent.chmod(stat.S_IRUSR | stat.S_IXUSR)
        try:
            assert load_reports(history) == [NIGHT]
            assert [*history.parent.iterdir()] == [history]
        finally:
            history.parent.chmod(stat.S_IRWXU)

    def test_a_file_whose_log_was_not_merged_can_be_read(self, tmp_path: Path) -> None:
        """What a killed process leaves behind, when neither file can be written."""
        history = tmp_path / "runs.duckdb"
        dump_reports(history, [])
        leave_log(history)
        assert history.with_name("runs.duckdb.wal").exists()
        history.parent.chmod(stat.S_IRUSR | stat.S_IXUSR)
        try:
            [report] = load_reports(history)
            assert isinstance(report, RunReport)
            assert report.environment == "killed"
        finally:
            history.parent.chmod(stat.S_IRWXU)

    @pytest.mark.skipif(os.geteuid() == 0, reason="root can write everywhere")
    def test_appending_to_it_is_an_error(self, history: Path) -> None:
        dump_reports(history, [])
        history.chmod(stat.S_IRUSR)
        with pytest.raises(OSError, match="Permission denied"):
            dump_reports(history, [NIGHT])


def leave_log(history: Path) -> None:
    """Append a report in a process that is killed right after its commit."""
    code = (
        "import os, sys, duckdb\n"
        "from pathlib import Path\n"
        "from pytest_sqlmesh_tracker.history.appending import _add\n"
        "from pytest_sqlmesh_tracker.history.numbering import Numbering\n"
        "from pytest_sqlmesh_tracker.history.opening import opened\n"
        "from pytest_sqlmesh_tracker.reports.files import Entry\n"
        "from tests.builders import run\n"
        "with opened(Path(sys.argv[1]), writing=True) as connection:\n"
        "    entries = [Entry(None, run(environment='killed'))]\n"
        "    _add(connection, Numbering(connection).new(entries, 'python'))\n"
        "    connection.execute('COMMIT')\n"
        "    os._exit(0)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(history)], check=True)
