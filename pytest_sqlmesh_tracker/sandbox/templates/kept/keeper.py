"""Restores templates that earlier sessions or other workers have planned, and keeps new ones."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path

from pytest_sqlmesh_tracker.sandbox.databases.postgres.server import PostgresServer
from pytest_sqlmesh_tracker.sandbox.options import ProjectOptions, SandboxError
from pytest_sqlmesh_tracker.sandbox.templates.inputs.evidence import Evidence
from pytest_sqlmesh_tracker.sandbox.templates.inputs.known import Inputs
from pytest_sqlmesh_tracker.sandbox.templates.inputs.recording import Recorder
from pytest_sqlmesh_tracker.sandbox.templates.inputs.values import (
    ChangedMeanwhileError,
    UnkeepableError,
)
from pytest_sqlmesh_tracker.sandbox.templates.servers import CLUSTER
from pytest_sqlmesh_tracker.sandbox.templates.template import Template

from .cache import KeptTemplate, TemplateCache
from .contents import Contents, dump, imported_again, load, module_names
from .uses import TemplateUse

_CONTENTS, _MODULES, _NEW_FILES = "contents.pickle", "modules.json", "project"
_DATABASES = ("databases", "catalogs")
_LONGEST_LINE = 300


class FailedBeforeError(SandboxError):
    """Another process of this session could not plan the template either."""


class Keeper:
    """Restores and keeps the templates of a session."""

    def __init__(
        self,
        cache: TemplateCache | None = None,
        *,
        failures: Path | None = None,
        replan: bool = False,
        started: float | None = None,
        announced: Callable[[Inputs], AbstractContextManager[None]] = lambda _: nullcontext(),
        uses: list[TemplateUse] | None = None,
    ) -> None:
        """Use a cache; without one, nothing is kept.

        Args:
            failures: a folder of the session, in which its workers leave which plans failed.
            replan: plan each template once in this session, whatever the cache contains.
            started: when the session began, in seconds since the epoch; by default, now.
            announced: what to do while a template is planned.
            uses: the list that notes how each template was made.
        """
        self._cache = cache
        self._failures = failures
        self._replan = replan
        self._started = time.time() if started is None else started
        self._announced = announced
        self._uses = [] if uses is None else uses

    def may_keep(self, options: ProjectOptions) -> bool:
        """Whether templates with these options are kept, unless something else prevents it."""
        return self._cache is not None and options.at is not None and not options.stub

    def get(self, inputs: Inputs, plan: Callable[[Recorder], Template]) -> Template:
        """Restore a template, or plan it and keep it.

        Args:
            plan: plans the template, while a recorder observes it.

        Raises:
            FailedBeforeError: another worker has failed to plan it.
            SandboxError: it can't be planned.
        """
        if self._cache is None:
            return self._planned(inputs, plan, None)
        try:
            name, key = inputs.name, inputs.key
        except UnkeepableError as why:
            return self._planned(inputs, plan, str(why))
        # Without the lock, so that workers do not wait for what they can't share.
        reason = None if self._replan else self._cache.why_not(name, key)
        if reason is not None:
            return self._planned(inputs, plan, reason)
        with ExitStack() as held:
            try:
                held.enter_context(self._cache.locked(name))
            except OSError as error:
                return self._planned(inputs, plan, f"the cache can't be used: {error}")
            reason = self._cache.why_not(name, key)
            if reason is None or self._replan:
                return self._shared(inputs, plan, self._cache, name, key)
        return self._planned(inputs, plan, reason)

    def _planned(
        self, inputs: Inputs, plan: Callable[[Recorder], Template], not_kept: str | None
    ) -> Template:
        with self._announced(inputs):
            template = plan(Recorder())
        self._uses.append(TemplateUse(inputs.projects, not_kept=not_kept))
        return template

    def _shared(
        self,
        inputs: Inputs,
        plan: Callable[[Recorder], Template],
        cache: TemplateCache,
        name: str,
        key: str,
    ) -> Template:
        """Restore or plan a template whose name is locked."""
        self._check_not_failed(key)
        kept = cache.find(name, key)
        not_restored = None
        if kept is not None and self._is_usable(kept):
            try:
                template = _restored(kept, inputs)
            except Exception as error:
                # Whatever is wrong with it, the project can be planned.
                kind = "" if isinstance(error, SandboxError) else f"{type(error).__name__}: "
                not_restored = headline(f"{kind}{error}")
            else:
                self._uses.append(TemplateUse(inputs.projects, planned=kept.planned))
                return template
        recorder = Recorder()
        evidence = Evidence.before(inputs, recorder, started=self._started, cache=cache.folder)
        try:
            with self._announced(inputs), recorder.recording():
                template = plan(recorder)
        except SandboxError as error:
            self._share_failure(key, str(error))
            raise
        not_kept = None
        try:
            _keep(cache, name, key, template, evidence)
        except UnkeepableError as why:
            not_kept = str(why)
            cache.remove(name, key)
            if not isinstance(why, ChangedMeanwhileError):
                cache.note(name, key, not_kept)
        except OSError as error:
            not_kept = f"the cache can't be written: {error}"
        self._uses.append(
            TemplateUse(inputs.projects, not_kept=not_kept, not_restored=not_restored)
        )
        return template

    def _is_usable(self, kept: KeptTemplate) -> bool:
        if self._replan and kept.planned < self._started:
            return False
        return kept.manifest.is_current

    def _check_not_failed(self, key: str) -> None:
        if self._failures is not None and (file := self._failures / key).is_file():
            raise FailedBeforeError(file.read_text(encoding="utf-8"))

    def _share_failure(self, key: str, message: str) -> None:
        if self._failures is not None:
            self._failures.mkdir(exist_ok=True)
            (self._failures / key).write_text(headline(message), encoding="utf-8")


def headline(message: str) -> str:
    """The first line of a message; if it only introduces the line below it, also that line."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    line = " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]
    return line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]}…"


def _keep(
    cache: TemplateCache, name: str, key: str, template: Template, evidence: Evidence
) -> None:
    """Store a template.

    Raises:
        UnkeepableError: a session could not restore the same template.
        OSError: the cache can't be written.
        SandboxError: its PostgreSQL server can't be stopped.
    """
    folder = template.project.folder
    if template.settings_changes != evidence.inputs.settings:
        raise UnkeepableError("loading it changes environment variables or sys.path")
    new_files = evidence.new_files()
    manifest = evidence.manifest()
    data = dump(Contents.of(template), folder)
    names = {str(path): each for path, each in module_names(template).items()}
    if template.postgres and not template.project.databases.server.stop():
        raise UnkeepableError("its PostgreSQL server is in use")

    def write(target: Path) -> None:
        (target / _CONTENTS).write_bytes(data)
        (target / _MODULES).write_text(json.dumps(names), encoding="utf-8")
        for each in _DATABASES:
            if (folder / each).is_dir():
                shutil.copytree(folder / each, target / each)
        if template.postgres:
            shutil.copytree(folder / CLUSTER, target / CLUSTER)
        for file in new_files:
            copy = target / _NEW_FILES / file.relative_to(folder / "project")
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, copy)

    cache.store(name, key, manifest, write)


def _restored(kept: KeptTemplate, inputs: Inputs) -> Template:
    """The template, in the folder of the project's copy.

    The files of the project are in the folder already, and equal to those that were planned.

    Raises:
        SandboxError: it is damaged, or its PostgreSQL server can't be started.
        Exception: it can't be loaded, or files can't be copied.
    """
    folder = inputs.project.folder
    kept.check()
    names = json.loads((kept.folder / _MODULES).read_text(encoding="utf-8"))
    if (kept.folder / _NEW_FILES).is_dir():
        shutil.copytree(kept.folder / _NEW_FILES, folder / "project", dirs_exist_ok=True)
    modules = {path: tuple(names[str(path)]) for path in inputs.project.configs}
    imported = imported_again(inputs.project, modules, inputs.options)
    contents = load((kept.folder / _CONTENTS).read_bytes(), folder)
    template = contents.template(
        inputs.options, inputs.root, inputs.project, inputs.settings, imported
    )
    server = inputs.project.databases.server
    # Last, and at once: if anything fails, the project is planned on the databases as they were.
    databases = folder / "restored"
    try:
        for each in _DATABASES:
            if (kept.folder / each).is_dir():
                shutil.copytree(kept.folder / each, databases / each)
        if contents.postgres:
            _start(server, kept.folder / CLUSTER, contents)
        for each in _DATABASES:
            if (databases / each).is_dir():
                shutil.rmtree(folder / each, ignore_errors=True)
                (databases / each).rename(folder / each)
    except BaseException:
        server.close()
        shutil.rmtree(databases, ignore_errors=True)
        raise
    return template


def _start(server: PostgresServer, data: Path, contents: Contents) -> None:
    """Start a template's server from the data folder that is kept.

    Raises:
        SandboxError: it can't be started, or it does not have what the template needs.
    """
    databases = server.start(data)
    if databases.available_extensions() != contents.extensions:
        raise SandboxError("the PostgreSQL server has other versions of its extensions")
    missing = set(contents.postgres.values()).difference(databases.names())
    if missing:
        raise SandboxError(f"the PostgreSQL server does not have the database {min(missing)}")
