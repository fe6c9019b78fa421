"""A project that was loaded and planned once, and its copies."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from pytest_sqlmesh_tracker.process.state import SettingsChanges
from pytest_sqlmesh_tracker.reports.report import RunReport
from pytest_sqlmesh_tracker.sandbox.context import SandboxContext, Selection
from pytest_sqlmesh_tracker.sandbox.data.stubs import Stubs
from pytest_sqlmesh_tracker.sandbox.databases.arrivals import Arrivals
from pytest_sqlmesh_tracker.sandbox.databases.externals import EmptyTables
from pytest_sqlmesh_tracker.sandbox.faults import Faults
from pytest_sqlmesh_tracker.sandbox.files.copies import Files
from pytest_sqlmesh_tracker.sandbox.files.loading import (
    LoadedFiles,
    copying_loader,
    recording_loader,
)
from pytest_sqlmesh_tracker.sandbox.in_force import Surroundings
from pytest_sqlmesh_tracker.sandbox.options import ProjectOptions
from pytest_sqlmesh_tracker.sandbox.problems.hints import Hints

from .planning import LeftOut
from .project import CopiedProject


@dataclass(frozen=True)
class Copy:
    """A copy of a template in a folder of its own, as far as it can be copied again.

    Attributes:
        reloaded: what its context has loaded from the copy's files, by path.
    """

    folder: Path
    context: SandboxContext
    reloaded: Mapping[Path, LoadedFiles]

    def loaded(self, path: Path, before: LoadedFiles) -> LoadedFiles:
        """What its context has loaded from one of its paths.

        Args:
            before: what the template has loaded.
        """
        return replace(self.reloaded.get(path, before).updated(self.context), path=path)


@dataclass(frozen=True)
class Template:
    """The source of a sandbox: a project as the options describe it, planned in a folder.

    Attributes:
        root: the folder that relative paths start from.
        stubs: the models that have a test's data instead of their queries.
        files: the project's files, as every test starts with them.
        loaded: what SQLMesh has loaded, by the project's paths.
        postgres: the template of each PostgreSQL database that was used, on the project's server.
        selection: the selected part of the project's models, if not all.
        reads_state: whether the state has models of other projects, which SQLMesh adds.
        empty_tables: the empty tables of external models.
        arrivals: the tables whose rows arrive over time.
        settings_changes: what loading the project changes in the process.
        hints: what helps to understand failures of the project.
        left_out: what a partial plan left out.
        began: the time of the plan, in UTC.
        ready: the time at which tests begin, in UTC: later than everything that was stored.
    """

    options: ProjectOptions
    root: Path
    stubs: Stubs
    project: CopiedProject
    files: Files
    loaded: Mapping[Path, LoadedFiles]
    postgres: Mapping[str, str]
    selection: Selection | None
    reads_state: bool
    empty_tables: EmptyTables
    arrivals: Arrivals
    settings_changes: SettingsChanges
    hints: Hints
    left_out: LeftOut
    began: datetime
    ready: datetime

    def copied(
        self, folder: Path, surroundings: Surroundings, faults: Faults, *, of: Copy | None = None
    ) -> Copy:
        """A new copy of the project and its databases in this empty folder.

        Args:
            of: the copy whose present state is copied, if not the template itself.
        """
        origin = of.folder if of else self.project.folder
        if of is not None:
            of.context.connections.duckdb.checkpoint()
        self.files.copy(folder / "project", of=origin / "project" if of else None)
        for name in ("databases", "catalogs"):
            if (origin / name).is_dir():
                # What is committed is in the files and their logs, even while they are open.
                shutil.copytree(origin / name, folder / name, ignore=_TEMPORARY)
        reloaded: dict[Path, LoadedFiles] = {}
        loaders = {}
        for path, loaded in self.loaded.items():
            if of is not None:
                loaded = of.loaded(self.project.place(path, origin), loaded)
            reading = recording_loader(reloaded, self.project.loader(path))
            loaders[path] = copying_loader(loaded, reading)
        context = self.project.new_context(
            folder,
            surroundings=surroundings,
            faults=faults,
            loaders=loaders,
            empty_tables=(of.context.empty_tables if of else self.empty_tables).copy(),
            stubs=(of.context.stubs if of else self.stubs).copy(),
            postgres=self.postgres,
            parked=of.context.connections.postgres.copies() if of else {},
            selection=of.context.selection if of else self.selection,
        )
        context.load_copied(reads_state=self.reads_state)
        return Copy(folder, context, reloaded)

    def hints_on(self, reports: Iterable[RunReport]) -> list[str]:
        """Paragraphs that help to understand the failures in these reports."""
        errors = [
            error
            for report in reports
            for error in (report.error, *(outcome.error for outcome in report.outcomes.values()))
            if error
        ]
        hints = dict.fromkeys(hint for error in errors for hint in self.hints.of(error))
        return [*hints, *self.left_out.remarks]

    def take_back(self, folder: Path) -> None:
        """Delete a closed copy, except for the files that the next one can use."""
        self.files.take_back(folder / "project")
        shutil.rmtree(folder, ignore_errors=True)

    def remove(self) -> None:
        """Delete the template's own files."""
        self.project.databases.drop(self.postgres)
        shutil.rmtree(self.project.folder, ignore_errors=True)


_TEMPORARY = shutil.ignore_patterns("*.tmp")
"""The folders in which DuckDB puts what does not fit into memory."""
