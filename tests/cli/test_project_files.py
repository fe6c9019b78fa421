"""`sqlmesh-tracker run` reads the project's files afterwards, in a separate process.

SQLMesh's own `run` does not read them, so it does not know which models were edited or never
planned.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from pytest_sqlmesh_tracker import RunReport, sqlmesh_run_tracker
from pytest_sqlmesh_tracker.reports.files import entries_from_json
from pytest_sqlmesh_tracker.tracking.project.location import ProjectLocation
from pytest_sqlmesh_tracker.tracking.queries.project_files import read_project_files
from tests.engines.engine import ENGINE
from tests.projects import at

from .conftest import Typed
from .test_interrupts import started

TOMORROW = "2024-01-10 00:05"


@pytest.fixture
def edited(shop: Path) -> Path:
    """The shop with one model that was edited since its plan, and one that was never planned."""
    weekly = shop / "models" / "shop.weekly.sql"
    weekly.write_text(weekly.read_text().replace("COUNT(*)", "COUNT(1)"))
    text = "MODEL (name shop.later, kind FULL, cron '@hourly'); SELECT n FROM shop.weekly"
    (shop / "models" / "shop.later.sql").write_text(text)
    return shop


def comparable(report: RunReport) -> dict[str, object]:
    """Everything in a report except what differs between any two runs."""
    facts = report.to_dict()
    for name in ("id", "arguments", "started_at", "finished_at"):
        del facts[name]
    for outcome in facts["outcomes"].values():
        for name in ("duration", "started_at", "finished_at", "start_order"):
            del outcome[name]
        for batch in outcome["batches"]:
            del batch["duration"]
    return facts


@pytest.mark.processes
def test_a_run_reports_the_same_as_context_run(edited: Path, typed: Typed) -> None:
    from sqlmesh import Context

    twin = edited.with_name("twin")
    of_twin = ENGINE.databases(edited).copied(twin)
    subprocess.run(["cp", "-r", str(edited), str(twin)], check=True)
    config = twin / "config.yaml"
    config.write_text(config.read_text().replace(str(edited), str(twin)))

    ended = typed("run", "--json", "--execution-time", TOMORROW, when=TOMORROW, load=True)
    context = Context(paths=str(twin), load=False)
    of_twin.state.use(context.close)
    with at(TOMORROW), sqlmesh_run_tracker(context.load()) as tracker:
        context.run(execution_time=TOMORROW)
    context.close()
    of_twin.state.drop()

    assert comparable(ended.report) == comparable(tracker.last)
    assert ended.report.project_files == "read"
    assert ended.report.by_reason["not_in_environment"] == {"shop.later"}
    assert ended.report["shop.weekly"].file == "models/shop.weekly.sql"
    assert [o.name for o in ended.report.outcomes.values() if o.local_edit] == ["shop.weekly"]
    assert ended.code == 1


@pytest.mark.processes
def test_a_missing_environment_lists_the_projects_models(
    edited: Path,  # noqa: ARG001
    typed: Typed,
) -> None:
    ended = typed("run", "nowhere", "--json", load=True)

    assert ended.code == 2
    assert ended.report["shop.later"].reason == "environment_missing"
    assert len(ended.report.interrupted) == 5
    assert "(environments: prod)" in ended.report["shop.later"].message


class TestFilesThatAreNotRead:
    @pytest.mark.processes
    def test_a_project_that_cannot_be_loaded(self, shop: Path, typed: Typed) -> None:
        (shop / "models" / "broken.sql").write_text("MODEL (nonsense")
        ended = typed("run", "--json", when=TOMORROW, load=True)

        assert ended.code == 0
        assert ended.report.project_files == "not_read"
        assert ended.report.project_files_note is not None
        assert "broken.sql" in ended.report.project_files_note
        assert ended.report.executed

    @pytest.mark.usefixtures("shop")
    def test_a_project_that_loads_too_slowly(self, typed: Typed) -> None:
        # Shorter than SQLMesh takes to be imported.
        ended = typed("run", "--load-timeout", "0.2", "--json", when=TOMORROW, load=True)

        assert ended.code == 0
        assert ended.report.project_files == "not_read"
        assert "did not answer within 0.2 s" in str(ended.report.project_files_note)

    def test_files_are_not_read_with_no_load(self, edited: Path, typed: Typed) -> None:  # noqa: ARG002
        ended = typed("run", "--no-load", "--json", when=TOMORROW, load=True)

        assert ended.code == 0
        assert ended.report.project_files is None
        assert "shop.later" not in ended.report.outcomes

    @pytest.mark.parametrize("seconds", ["0", "-1", "soon", "nan", "inf", "1e12"])
    def test_a_timeout_must_be_positive(self, typed: Typed, seconds: str) -> None:
        ended = typed("run", "--load-timeout", seconds)
        assert ended.code == 2
        assert "--load-timeout" in ended.err


@pytest.mark.long
@pytest.mark.processes
def test_output_of_the_project_goes_to_standard_error(shop: Path, typed: Typed) -> None:
    """Even bytes that are not text in any encoding."""
    loud = "import os\n\nprint('loaded out loud')\nos.write(2, b'caf\\xe9\\n')\n"
    (shop / "macros").mkdir()
    (shop / "macros" / "loud.py").write_text(loud)
    ended = typed("run", "--json", when=TOMORROW, load=True)

    assert json.loads(ended.out)
    assert "loaded out loud" in ended.err
    assert r"caf\xe9" in ended.err
    assert (ended.code, ended.report.project_files) == (0, "read")


@pytest.mark.long
@pytest.mark.processes
def test_quiet_hides_output_of_the_project(shop: Path, typed: Typed) -> None:
    (shop / "macros").mkdir()
    (shop / "macros" / "loud.py").write_text("print('loaded out loud')\n")
    ended = typed("run", "--quiet", when=TOMORROW, load=True)

    assert "loaded out loud" not in ended.out + ended.err


@pytest.mark.long
@pytest.mark.processes
def test_a_model_that_changes_the_current_folder(shop: Path, typed: Typed) -> None:
    (shop / "models" / "wanders.py").write_text(
        "import os, tempfile\n"
        "import pandas as pd\n"
        "from sqlmesh import model\n\n\n"
        "@model('shop.wanders', kind='FULL', cron='@daily', columns={'id': 'int'})\n"
        "def execute(context, **_):\n"
        "    os.chdir(tempfile.gettempdir())\n"
        "    return pd.DataFrame({'id': [1]})\n"
    )
    Path("night.env").write_text("NIGHT=1\n")
    typed("plan", "--auto-apply", "--no-prompts", when="2024-01-09 00:06")
    os.chdir(shop)
    ended = typed("--dotenv", "night.env", "run", "--json", when=TOMORROW, load=True)

    assert Path.cwd() != shop
    assert "shop.wanders" in ended.report.executed
    assert ended.report.project_files_note is None


@pytest.mark.processes
def test_ctrl_c_while_reading_files_loses_no_results(shop: Path) -> None:
    (shop / "macros").mkdir()
    (shop / "macros" / "slow.py").write_text(
        "import os, time\nfrom pathlib import Path\n"
        "Path('begun').write_text(str(os.getpid()))\ntime.sleep(600)\n"
    )
    arguments = ["--execution-time", TOMORROW, "--load-timeout", "60"]
    process = started("run", "--report", "night.json", *arguments)
    begun = shop / "begun"
    deadline = time.monotonic() + 60
    while not (begun.exists() and begun.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)

    report = entries_from_json(Path("night.json").read_bytes())[0][1]
    assert process.returncode == 0
    assert report.executed
    assert report.project_files_note == "the command was stopped while reading them"
    with pytest.raises(ProcessLookupError):
        os.kill(int(begun.read_text()), 0)


@pytest.mark.processes
def test_a_folder_that_is_not_a_project(tmp_path: Path) -> None:
    files = read_project_files(ProjectLocation([str(tmp_path)]), timeout=60, print_output=print)
    assert not files.nodes
    assert "no SQLMesh project" in str(files.unread)
