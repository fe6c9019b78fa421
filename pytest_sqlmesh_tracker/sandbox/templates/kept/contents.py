"""A template as it is stored: everything that is not made anew in each session."""

from __future__ import annotations

import gc
import io
import pickle
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from sqlglot import exp
from sqlmesh.core.linter.definition import RuleSet
from sqlmesh.core.loader import LoadedProject
from sqlmesh.core.model import SqlModel
from sqlmesh.core.snapshot.cache import SnapshotCache
from sqlmesh.utils import UniqueKeyDict

from pytest_sqlmesh_tracker.process.state import SettingsChanges
from pytest_sqlmesh_tracker.sandbox.clock import Clock
from pytest_sqlmesh_tracker.sandbox.context import Selection, SharedSnapshots
from pytest_sqlmesh_tracker.sandbox.data.stubs import Stubs
from pytest_sqlmesh_tracker.sandbox.databases.arrivals import Arrivals
from pytest_sqlmesh_tracker.sandbox.databases.externals import EmptyTables
from pytest_sqlmesh_tracker.sandbox.faults import Faults
from pytest_sqlmesh_tracker.sandbox.files.copies import Files
from pytest_sqlmesh_tracker.sandbox.files.loading import (
    ImportedFiles,
    LoadedFiles,
    importing_loader,
)
from pytest_sqlmesh_tracker.sandbox.in_force import Surroundings
from pytest_sqlmesh_tracker.sandbox.options import ProjectOptions
from pytest_sqlmesh_tracker.sandbox.problems.hints import Hints
from pytest_sqlmesh_tracker.sandbox.templates.inputs.values import UnkeepableError
from pytest_sqlmesh_tracker.sandbox.templates.planning import LeftOut
from pytest_sqlmesh_tracker.sandbox.templates.project import CopiedProject
from pytest_sqlmesh_tracker.sandbox.templates.template import Template


@dataclass(frozen=True)
class _Computed:
    """What SQLMesh computes of a model, and does not pickle with it.

    Attributes:
        query: the optimized query, if it was rendered; None inside if it can't be.
    """

    data_hash: str | None
    metadata_hash: str | None
    query: tuple[exp.Query | None, dict[Any, Any]] | None

    @classmethod
    def of(cls, model: Any) -> _Computed:
        query = None
        if isinstance(model, SqlModel) and "_query_renderer" in model.__dict__:
            query = model.render_query(), model.violated_rules_for_query or {}
        return cls(model._data_hash, model._metadata_hash, query)

    def apply(self, model: Any) -> None:
        model._data_hash, model._metadata_hash = self.data_hash, self.metadata_hash
        if self.query is not None:
            query, rules = self.query
            model._query_renderer.update_cache(query, rules, optimized=query is not None)


@dataclass(frozen=True)
class _KeptFiles:
    """One of a project's paths, without what only importing its modules can give."""

    path: Path
    project: LoadedProject
    computed: Mapping[str, _Computed]

    @classmethod
    def of(cls, loaded: LoadedFiles) -> _KeptFiles:
        project = replace(loaded.project, macros=UniqueKeyDict("macros"), user_rules=RuleSet())
        models = loaded.project.models
        return cls(loaded.path, project, {n: _Computed.of(model) for n, model in models.items()})

    def loaded(self, imported: ImportedFiles) -> LoadedFiles:
        for name, computed in self.computed.items():
            computed.apply(self.project.models[name])
        project = replace(self.project, macros=imported.macros, user_rules=imported.rules)
        return LoadedFiles(self.path, project, imported.modules)


@dataclass(frozen=True)
class Contents:
    """Everything of a template that is stored, apart from its files and databases.

    Attributes:
        postgres: the template of each PostgreSQL database that was used.
        extensions: the versions of the extensions that its PostgreSQL server had, if it has one.
    """

    files: Mapping[Path, _KeptFiles]
    snapshots: SharedSnapshots
    selection: Selection | None
    reads_state: bool
    empty_tables: EmptyTables
    arrivals: Arrivals
    hints: Hints
    left_out: LeftOut
    postgres: Mapping[str, str]
    extensions: Mapping[str, str]
    began: datetime
    ready: datetime

    @classmethod
    def of(cls, template: Template) -> Contents:
        """What to store of a template."""
        return cls(
            files={path: _KeptFiles.of(each) for path, each in template.loaded.items()},
            snapshots=template.project.snapshots,
            selection=template.selection,
            reads_state=template.reads_state,
            empty_tables=template.empty_tables,
            arrivals=template.arrivals,
            hints=template.hints,
            left_out=template.left_out,
            postgres=template.postgres,
            extensions=(
                template.project.databases.server.databases.available_extensions()
                if template.postgres
                else {}
            ),
            began=template.began,
            ready=template.ready,
        )

    def template(
        self,
        options: ProjectOptions,
        root: Path,
        project: CopiedProject,
        settings: SettingsChanges,
        imported: Mapping[Path, ImportedFiles],
    ) -> Template:
        """The template on files and databases that are in the project's folder again."""
        for snapshot in self.snapshots.values():
            if snapshot is not None:
                SnapshotCache._update_node_hash_cache(snapshot)
        project.snapshots.update(self.snapshots)
        return Template(
            options=options,
            root=root,
            # Templates with stubs are not kept.
            stubs=Stubs({}),
            project=project,
            files=Files(project.folder / "project"),
            loaded={p: each.loaded(imported[each.path]) for p, each in self.files.items()},
            postgres=self.postgres,
            selection=self.selection,
            reads_state=self.reads_state,
            empty_tables=self.empty_tables,
            arrivals=self.arrivals,
            settings_changes=settings,
            hints=self.hints,
            left_out=self.left_out,
            began=self.began,
            ready=self.ready,
        )


def module_names(template: Template) -> dict[Path, tuple[str, ...]]:
    """The modules of a template, by the project's paths, in the order of their import."""
    names: dict[Path, tuple[str, ...]] = {}
    for path, loaded in template.loaded.items():
        # A path that is loaded later sees the modules of the earlier ones.
        earlier = {name for each in names.values() for name in each}
        names[path] = tuple(name for name in loaded.modules if name not in earlier)
    return names


def imported_again(
    project: CopiedProject, names: Mapping[Path, tuple[str, ...]], options: ProjectOptions
) -> dict[Path, ImportedFiles]:
    """Import the modules of a project's copy, by its paths."""
    imported: dict[Path, ImportedFiles] = {}
    clock = Clock(options.at or datetime.now(timezone.utc), tick=False)
    surroundings = Surroundings(clock, SettingsChanges({}, ()))
    with surroundings.in_use():
        context = project.new_context(
            project.folder,
            surroundings=surroundings,
            faults=Faults(),
            loaders={
                path: importing_loader(imported, names[path], project.loader(path))
                for path in project.configs
            },
            empty_tables=EmptyTables(),
            stubs=Stubs({}),
            of_template=True,
        )
        try:
            for loader in context._loaders:
                loader.load()
        finally:
            context.close()
    return imported


def dump(contents: Contents, folder: Path) -> bytes:
    """Pickle contents, independently of the folder of their template.

    Raises:
        UnkeepableError: they can't be pickled, or contain the folder elsewhere than in paths.
    """
    file = io.BytesIO()
    try:
        _Pickler(file, folder).dump(contents)
    except Exception as error:
        raise UnkeepableError(f"it can't be pickled: {type(error).__name__}: {error}") from error
    data = file.getvalue()
    if str(folder).encode() in data:
        raise UnkeepableError("its models contain the path of the files that they were loaded from")
    return data


def load(data: bytes, folder: Path) -> Contents:
    """Unpickle contents for a template in another folder."""
    with _garbage_collector_off():
        contents = _Unpickler(io.BytesIO(data), folder).load()
    if not isinstance(contents, Contents):
        raise pickle.UnpicklingError(f"not the contents of a template: {type(contents).__name__}")
    return contents


class _Pickler(pickle.Pickler):
    def __init__(self, file: Any, folder: Path) -> None:
        super().__init__(file, protocol=5)
        self._folder = folder

    def persistent_id(self, value: Any) -> str | None:
        """A path below the template's folder, relative to it."""
        if isinstance(value, Path) and value.is_relative_to(self._folder):
            return str(value.relative_to(self._folder))
        return None


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: Any, folder: Path) -> None:
        super().__init__(file)
        self._folder = folder

    def persistent_load(self, pid: str) -> Path:
        """A path below the template's new folder."""
        return self._folder / pid


@contextmanager
def _garbage_collector_off() -> Iterator[None]:
    """Unpickle without searching all the new objects for garbage, again and again."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()
