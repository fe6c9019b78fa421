"""The templates of a session, each built when it is first needed."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType
from typing import Any

from sqlmesh.core.config import Config

from pytest_sqlmesh_tracker.sandbox.clock import check_not_frozen
from pytest_sqlmesh_tracker.sandbox.databases.raw_data import Setup
from pytest_sqlmesh_tracker.sandbox.options import ProjectOptions, SandboxError
from pytest_sqlmesh_tracker.sandbox.templates.inputs.digests import digest_of_file
from pytest_sqlmesh_tracker.sandbox.templates.kept.keeper import (
    FailedBeforeError,
    Keeper,
    headline,
)

from .building import build_template
from .servers import PostgresServers
from .template import Template


@dataclass(frozen=True)
class _Failure:
    """Why a template can't be built, in one line."""

    line: str


class Templates:
    """The templates of a session."""

    def __init__(
        self,
        root: Path,
        new_folder: Callable[[], Path],
        scratch: Path | None = None,
        *,
        postgres: str | None = None,
        keeper: Keeper | None = None,
    ) -> None:
        """Start without templates.

        Args:
            root: the folder that the options' relative paths start from.
            new_folder: makes an empty folder.
            scratch: the folder that contains these folders and the folders of other processes.
            postgres: the folder of PostgreSQL's programs, if the user has set it.
            keeper: restores and keeps templates; by default, none is kept.
        """
        self._root = root
        self._scratch = scratch
        self._keeper = keeper or Keeper()
        self.new_folder = new_folder
        self.servers = PostgresServers(postgres)
        self._built: dict[Hashable, Template | _Failure] = {}

    def get(
        self, options: ProjectOptions, config: Config | str | None, setup: Setup | None
    ) -> Template:
        """The template for these options.

        Raises:
            SandboxError: the template can't be planned, which is tried only once; or freezegun has
                frozen the clock.
        """
        check_not_frozen()
        _check_fixtures(config, setup)
        key = (
            repr(options),
            self._stub_files(options),
            _identity_of(config),
            _identity_of_setup(setup),
        )
        if key not in self._built:
            folder = self.new_folder()
            own = self._keeper.may_keep(options)
            server = self.servers.own(folder) if own else self.servers.shared
            try:
                self._built[key] = build_template(
                    options,
                    folder,
                    root=self._root,
                    scratch=self._scratch or folder.parent,
                    server=server,
                    keeper=self._keeper,
                    config=config,
                    setup=setup,
                )
            except SandboxError as error:
                if own:
                    server.close()
                shutil.rmtree(folder, ignore_errors=True)
                self._built[key] = _Failure(headline(str(error)))
                if not isinstance(error, FailedBeforeError):
                    raise
        built = self._built[key]
        if isinstance(built, _Failure):
            raise SandboxError(f"{built.line} (as before; not retried)")
        return built

    def _stub_files(self, options: ProjectOptions) -> Hashable:
        """The contents of the files with stubs' data, which tests can write anew."""
        values = (data.below(self._root).value for data in options.stub.values())
        return tuple(digest_of_file(value) for value in values if isinstance(value, Path))

    def remove(self) -> None:
        """End the servers, and delete the files of all templates."""
        self.servers.close()
        for built in self._built.values():
            if isinstance(built, Template):
                built.remove()


def _check_fixtures(config: Any, setup: Any) -> None:
    if not isinstance(config, Config | str | None):
        raise SandboxError(
            f"sqlmesh_project_config returned a {type(config).__name__}; it must return a SQLMesh "
            "Config, or the name of one in config.py"
        )
    if not (setup is None or callable(setup)):
        raise SandboxError(
            f"sqlmesh_project_setup returned a {type(setup).__name__}; it must return a function "
            "that takes a connection"
        )


def _identity_of(config: Config | str | None) -> Hashable:
    return config.fingerprint if isinstance(config, Config) else config


def _identity_of_setup(setup: Setup | None) -> Hashable:
    """Functions recreated for each test are identical, unless they carry their own values."""
    if isinstance(setup, FunctionType) and not (
        setup.__closure__ or setup.__defaults__ or setup.__kwdefaults__
    ):
        # Code in two files can be equal but read different globals.
        return setup.__code__, setup.__code__.co_filename
    return setup
