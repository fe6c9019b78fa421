"""What the planning of a template has read beyond the inputs that are known beforehand."""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field

from .digests import digest, digest_of_file, digest_of_matches, digest_of_names
from .modules import values_of


@dataclass(frozen=True)
class Manifest:
    """The inputs that were recorded while a template was planned.

    Attributes:
        salt: a random text that is hashed with the values of environment variables, which can be
            secrets.
        variables: environment variables → digests of their values, or None if they were not set.
        files: files → digests of their contents.
        folders: folders → digests of the names in them.
        globs: globs → digests of the names that match.
        modules: modules that were imported earlier → digests of the values in them.
    """

    salt: str
    variables: Mapping[str, str | None] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    folders: Mapping[str, str] = field(default_factory=dict)
    globs: Mapping[str, str] = field(default_factory=dict)
    modules: Mapping[str, str | None] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        *,
        variables: Mapping[str, str | None],
        files: Iterable[str],
        folders: Iterable[str],
        globs: Iterable[str],
        modules: Iterable[str],
    ) -> Manifest:
        """The present contents of everything that was read."""
        salt = secrets.token_hex(16)
        return cls(
            salt=salt,
            variables={name: _hidden(salt, value) for name, value in sorted(variables.items())},
            files={path: digest_of_file(path) for path in sorted(files)},
            folders={path: digest_of_names(path) for path in sorted(folders)},
            globs={pattern: digest_of_matches(pattern) for pattern in sorted(globs)},
            modules={name: _values(salt, name) for name in sorted(modules)},
        )

    @property
    def is_current(self) -> bool:
        """Whether everything that was read is unchanged."""
        return (
            all(_hidden(self.salt, os.environ.get(n)) == v for n, v in self.variables.items())
            and all(digest_of_file(path) == each for path, each in self.files.items())
            and all(digest_of_names(path) == each for path, each in self.folders.items())
            and all(digest_of_matches(pattern) == each for pattern, each in self.globs.items())
            and all(_values(self.salt, name) == each for name, each in self.modules.items())
        )

    def to_json(self) -> str:
        """The manifest as JSON."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """Read what `to_json` wrote.

        Raises:
            ValueError: it is something else.
        """
        try:
            return cls(**json.loads(text))
        except TypeError as error:
            raise ValueError(str(error)) from None


def _hidden(salt: str, value: str | None) -> str | None:
    return None if value is None else digest(salt, value)


def _values(salt: str, module: str) -> str | None:
    return _hidden(salt, values_of(sys.modules.get(module)))
