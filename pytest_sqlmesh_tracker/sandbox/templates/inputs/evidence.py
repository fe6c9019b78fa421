"""What was seen while a template was planned, and whether it suffices to keep the template."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlmesh.core import constants

from pytest_sqlmesh_tracker.process.state import modules_in

from .installed import is_installed
from .known import Inputs, is_test
from .manifest import Manifest
from .modules import check_not_replaced, check_readers, imports_by_name, used_modules
from .recording import Recorder, stamp
from .values import ChangedMeanwhileError, UnkeepableError

_NO_CONTENT = ("/dev/", "/proc/", "/sys/")


@dataclass(frozen=True)
class Evidence:
    """The state before a template is planned, to compare it with the state afterwards.

    Attributes:
        started: when this process began to import modules, in seconds since the epoch.
        cache: the folder of kept templates.
        scratch: the folder of all sandboxes.
        modules: the modules that were imported before.
        files: the files of the project's copy, with their stamps.
    """

    inputs: Inputs
    recorder: Recorder
    started: float
    cache: Path
    modules: frozenset[str]
    files: Mapping[Path, tuple[int, int] | None]

    @classmethod
    def before(cls, inputs: Inputs, recorder: Recorder, *, started: float, cache: Path) -> Evidence:
        """The state before the template is planned."""
        files = {file: stamp(file) for file in project_files(inputs.project.folder)}
        return cls(inputs, recorder, started, cache, frozenset(sys.modules), files)

    def new_files(self) -> list[Path]:
        """The files that planning has added to the project's copy.

        Raises:
            UnkeepableError: planning has changed other files of the copy.
        """
        after = {file: stamp(file) for file in project_files(self._folder)}
        if any(after.get(file) != before for file, before in self.files.items()):
            raise UnkeepableError("planning it changes the project's files")
        return [file for file in after if file not in self.files]

    def manifest(self) -> Manifest:
        """What planning has read.

        Raises:
            UnkeepableError: not all that it has read is known, or something has changed meanwhile.
        """
        log = self.recorder.duckdb
        files = [path for path in sorted(log.files) if self._is_outside(path)]
        obstacles = [
            *self.recorder.obstacles,
            *sorted(log.obstacles),
            *log.obstacles_of(filter(os.path.exists, files)),
        ]
        if obstacles:
            raise UnkeepableError(f"planning it {obstacles[0]}")
        modules = self._used_modules()
        read = {path: seen for path, seen in self.recorder.stamps.items() if self._is_outside(path)}
        read.update((path, stamp(path)) for path in files)
        for path, seen in read.items():
            if stamp(path) != seen:
                raise ChangedMeanwhileError(f"{path} changed while it was planned")
        read.update((str(file), None) for file in modules.values())
        packages = {str(file.parent) for file in modules.values() if imports_by_name(file)}
        brought = {str(self._users(file)): None for file in self.new_files()}
        return Manifest.of(
            variables=self.recorder.variables,
            files={*read, *brought},
            folders=filter(self._is_outside, {*self.recorder.folders, *packages}),
            globs=filter(self._is_outside, log.globs),
            modules=modules.keys() & self.modules,
        )

    def _used_modules(self) -> dict[str, Path]:
        """The user's modules outside of the project that its code uses."""
        own = modules_in([self._folder])
        candidates = {n: m for n, m in sys.modules.copy().items() if n not in own}
        used = used_modules(self.inputs.texts, candidates)
        new = self.recorder.imported
        used.update(used_modules([" ".join(new).replace(".", " ")], new))
        used = {name: file for name, file in used.items() if self._is_outside(str(file))}
        for name, file in used.items():
            if not file.is_file():
                raise UnkeepableError(f"its Python code uses {name}, whose source is not a file")
        texts = [*self.inputs.texts, *map(_text, used.values())]
        check_not_replaced(texts, used, self._folder)
        check_readers(texts)
        for file in self.inputs.setup_files:
            if file.stat().st_mtime >= self.started:
                raise ChangedMeanwhileError(f"{file} changed after it was imported")
        for name in used.keys() & self.modules:
            if used[name].stat().st_mtime >= self.started:
                raise ChangedMeanwhileError(f"{used[name]} changed after it was imported")
        return used

    def _is_outside(self, path: str) -> bool:
        """Whether a file is an input of its own: neither of the project's copy nor installed.

        Raises:
            UnkeepableError: it is a test of the project.
        """
        place = Path(path)
        if place.is_relative_to(self._folder / "project"):
            if place in self.files and is_test(place, self._folder / "project"):
                raise UnkeepableError(f"planning it reads the test {self._users(place)}")
            return False
        return not (
            place.is_relative_to(self._folder)
            # SQLMesh's own settings, which the configuration includes, and its notes.
            or place.is_relative_to(constants.SQLMESH_PATH)
            or place.is_relative_to(self.cache)
            or path.startswith(_NO_CONTENT)
            or is_installed(path)
        )

    def _users(self, file: Path) -> Path:
        """The user's own file that a file of the copy has been made from, if any."""
        anchor = next(iter(self.inputs.project.configs)).anchor
        return Path(anchor, file.relative_to(self._folder / "project"))

    @property
    def _folder(self) -> Path:
        return self.inputs.project.folder


def project_files(folder: Path) -> Iterator[Path]:
    """The files of a project's copy, in a template's folder, without caches."""
    for path in (folder / "project").rglob("*"):
        if path.is_file() and not {".cache", "__pycache__"}.intersection(path.parts):
            yield path


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace")
