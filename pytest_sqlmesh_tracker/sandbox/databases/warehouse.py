"""What the names of a project mean in its own warehouse, which a sandbox replaces with DuckDB.

External models name gateways and catalogs of the warehouse, as `sqlmesh create_external_models`
writes them. Under the test's own configuration they keep that meaning.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlmesh.core.config import Config
from sqlmesh.core.constants import EXTERNAL_MODELS, EXTERNAL_MODELS_YAML
from sqlmesh.utils import yaml

from pytest_sqlmesh_tracker.sandbox.files.loading import read_configs


@dataclass(frozen=True)
class Warehouse:
    """The gateways of a project.

    Attributes:
        gateways: the name of each, and its catalog if known.
        default: the gateway of models that do not name one, if known.
    """

    gateways: Mapping[str, str | None]
    default: str | None

    @classmethod
    def of(cls, paths: Iterable[Path], dialect: str | None) -> Warehouse:
        """Read what the project's own configuration and its external models show.

        Args:
            dialect: the SQL dialect of the external models' names.
        """
        paths = list(paths)
        gateways: dict[str, str | None] = {}
        default = None
        try:
            configs = list(read_configs(paths, None).values())
        # The configuration may need secrets or drivers that tests don't have, which is why tests
        # use another one.
        except Exception:
            configs = []
        for config in configs:
            default = default or config.default_gateway_name
            gateways.update((name, _catalog_of(config, name)) for name in config.gateways)
        externals = [each for path in paths for each in _external_models(path, dialect)]
        for gateway, _ in externals:
            if gateway:
                gateways.setdefault(gateway, None)
        if default is None and len(gateways) == 1:
            (default,) = gateways
        if default is not None and gateways.get(default) is None:
            catalogs = {c for gateway, c in externals if c and gateway in (None, default)}
            gateways[default] = catalogs.pop() if len(catalogs) == 1 else None
        return cls(gateways, default)


def _catalog_of(config: Config, gateway: str) -> str | None:
    catalog = config.get_connection(gateway).get_catalog()
    # A value from an environment variable that tests don't have is unknown.
    return catalog if catalog not in ("", "None", "memory") else None


def _external_models(path: Path, dialect: str | None) -> Iterator[tuple[str | None, str]]:
    """The gateway and the catalog of each external model, as far as its file contains them."""
    folder = path / EXTERNAL_MODELS
    for file in (path / EXTERNAL_MODELS_YAML, *sorted(folder.rglob("*.y*ml"))):
        try:
            rows: Any = yaml.load(file, raise_if_empty=False, render_jinja=False) or []
        # SQLMesh reports what is wrong with the file when it loads the project.
        except Exception:
            continue
        for row in rows:
            try:
                table = exp.to_table(row["name"], dialect=row.get("dialect") or dialect)
            except (SqlglotError, KeyError, TypeError, AttributeError):
                continue
            yield row.get("gateway"), table.catalog
