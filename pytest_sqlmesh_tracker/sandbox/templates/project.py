"""What all copies of a user's project share, and contexts on the copies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from sqlmesh.core.config import Config
from sqlmesh.core.loader import Loader

from pytest_sqlmesh_tracker.sandbox.context import SandboxContext, Selection, SharedSnapshots
from pytest_sqlmesh_tracker.sandbox.data.stubs import Stubs
from pytest_sqlmesh_tracker.sandbox.databases.externals import EmptyTables
from pytest_sqlmesh_tracker.sandbox.databases.gateways import Databases
from pytest_sqlmesh_tracker.sandbox.faults import Faults
from pytest_sqlmesh_tracker.sandbox.files.copies import UsersPaths, place_of_copy
from pytest_sqlmesh_tracker.sandbox.files.loading import loader_with_externals_of
from pytest_sqlmesh_tracker.sandbox.in_force import Surroundings


@dataclass(frozen=True)
class CopiedProject:
    """A user's project that has copies, each in its own folder; the first is the template.

    Attributes:
        folder: the template's folder.
        configs: the user's own configurations, by the project's paths.
        variables: values that override the project's own.
        snapshots: the template's snapshots that have been read.
    """

    folder: Path
    configs: Mapping[Path, Config]
    databases: Databases
    variables: Mapping[str, Any]
    snapshots: SharedSnapshots = field(default_factory=dict)

    def place(self, path: Path, folder: Path) -> Path:
        """The place of one of the project's paths in the copy in this folder."""
        return place_of_copy(path, folder / "project")

    def loader(self, path: Path) -> type[Loader]:
        """The class that loads the files of one of the project's paths."""
        loader: type[Loader] = self.configs[path].loader
        if not self.databases.stands_in:
            return loader
        return loader_with_externals_of(self.databases.external_gateway, loader)

    def new_context(
        self,
        folder: Path,
        *,
        surroundings: Surroundings,
        faults: Faults,
        loaders: Mapping[Path, type[Loader]],
        empty_tables: EmptyTables,
        stubs: Stubs,
        postgres: Mapping[str, str] = MappingProxyType({}),
        parked: Mapping[str, str] = MappingProxyType({}),
        selection: Selection | None = None,
        selectors: tuple[str, ...] = (),
        of_template: bool = False,
    ) -> SandboxContext:
        """A context on the copy in this folder that has not loaded anything yet.

        Args:
            loaders: the loaders, by the project's paths.
            postgres: the template of each PostgreSQL database that has one.
            parked: the copy of each PostgreSQL database that has been made.
            selection: the selected part of the project's models, if not all.
            selectors: the selectors that the first load applies.
        """
        connections = self.databases.connections(
            folder,
            surroundings.clock,
            empty_tables,
            postgres,
            parked,
            of_template=of_template,
        )
        configs = self.databases.configs(connections, self.variables)
        return SandboxContext(
            connections=connections,
            surroundings=surroundings,
            empty_tables=empty_tables,
            stubs=stubs,
            faults=faults,
            shared_snapshots=self.snapshots,
            selection=selection,
            selectors=selectors,
            users_paths=UsersPaths.of_copies(self.configs, (self.folder, folder)),
            of_template=of_template,
            gateway=self.databases.gateway,
            config={
                self.place(path, folder): config.copy(update={"loader": loaders[path]})
                for path, config in configs.items()
            },
        )
