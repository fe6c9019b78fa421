"""The doctor warns of crons in a project that SQLMesh does not determine."""

from __future__ import annotations

import pytest

from pytest_sqlmesh_tracker.doctor.crons import checks
from pytest_sqlmesh_tracker.doctor.diagnosis import Check
from pytest_sqlmesh_tracker.tracking.project.location import ProjectLocation
from tests.projects import Project

pytestmark = pytest.mark.long


def checks_of(project: Project) -> list[Check]:
    return list(checks(ProjectLocation([str(project.path)])))


def test_a_project_whose_crons_are_determined(project: Project) -> None:
    project.model("s.daily", "SELECT 1 AS id")
    project.model("s.weekdays", "SELECT 1 AS id", cron="'0 9 * * 1-5'")
    detail = "SQLMesh determines when each model of the project is due"
    assert checks_of(project) == [Check("crons", "ok", detail)]


def test_each_undetermined_cron_is_a_warning_with_the_cron_that_is_safe(project: Project) -> None:
    project.model("s.office", "SELECT 1 AS id", cron="'0 8-18 * * *'")
    project.model("s.shop", "SELECT 1 AS id", cron="'0 8-18 * * *'")
    project.model("s.odd", "SELECT 1 AS id", cron="'0 8-18 * * * 30'")
    hours, seconds = checks_of(project)
    assert hours == Check(
        "crons",
        "warning",
        "when 0 8-18 * * * is due depends on the SQLMesh process, since its gaps differ (0 * * * * "
        "has equal gaps and includes its times)",
        "when SQLMesh runs s.office, s.shop",
    )
    assert seconds.level == "warning"
    assert seconds.detail.endswith("since its gaps differ")


def test_a_project_that_does_not_load_is_a_warning(project: Project) -> None:
    project.model("s.m", "SELECT (")
    [check] = checks_of(project)
    assert check.level == "warning"
    assert check.detail.startswith("the project's files were not read: ")
