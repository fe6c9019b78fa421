"""A project that was loaded and planned once, and its copies."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pytest_sqlmesh_tracker.process.state import SettingsChanges
from pytest_sqlmesh_tracker.sandbox.clock import Clock
from pytest_sqlmesh_tracker.sandbox.context import SandboxContext, Selection
from pytest_sqlmesh_tracker.sandbox.data.stubs import Stubs
from pytest_sqlmesh_tracker.sandbox.databases.externals import EmptyTables
from pytest_sqlmesh_tracker.sandbox.faults import Faults
from pytest_sqlmesh_tracker.sandbox.files import Files
from pytest_sqlmesh_tracker.sandbox.loading import LoadedFiles, copying_loader
from pytest_sqlmesh_tracker.sandbox.options import ProjectOptions
from pytest_sqlmesh_tracker.sandbox.problems.hints import Hints

from .planning import LeftOut
from .project import CopiedProject


@dataclass(frozen=True)
class Template:
    """The source of a sandbox: a project as the options describe it, planned in a folder.

    Attributes:
        root: the folder that relative paths start from.
        stubs: the models that have a test's data instead of their queries.
        files: the project's files, as every test starts with them.
        loaded: what SQLMesh has loaded, by the project's paths.
        selection: the selected part of the project's models, if not all.
        reads_state: whether the state has models of other projects, which SQLMesh adds.
        empty_tables: the empty tables of external models.
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
    settings_changes: SettingsChanges
    hints: Hints
    left_out: LeftOut
    began: datetime
    ready: datetime

    def copied(self, folder: Path, clock: Clock, faults: Faults) -> SandboxContext:
        """A context on a new copy of the project and its databases in this empty folder."""
        self.files.copy(folder / "project")
        for name in ("databases", "catalogs"):
            if (self.project.folder / name).is_dir():
                shutil.copytree(self.project.folder / name, folder / name)
        context = self.project.new_context(
            folder,
            clock=clock,
            faults=faults,
            loaders={
                path: copying_loader(loaded, self.project.loader(path))
                for path, loaded in self.loaded.items()
            },
            empty_tables=self.empty_tables.copy(),
            stubs=self.stubs.copy(),
            postgres=self.postgres,
            selection=self.selection,
        )
        context.load_copied(reads_state=self.reads_state)
        return context

    def take_back(self, folder: Path) -> None:
        """Delete a closed copy, except for the files that the next one can use."""
        self.files.take_back(folder / "project")
        shutil.rmtree(folder, ignore_errors=True)

    def remove(self) -> None:
        """Delete the template's own files."""
        self.project.databases.drop(self.postgres)
        shutil.rmtree(self.project.folder, ignore_errors=True)
