"""Display names of models, as users write them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from sqlglot import exp, parse_one
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.normalize_identifiers import normalize_identifiers

from .nodes import own_name


def display_names(nodes: Mapping[str, Any], default_catalog: str | None) -> dict[str, str]:
    """Fully qualified name → unique display name; names that would collide stay fully qualified.

    Args:
        nodes: fully qualified name → SQLMesh model or standalone audit.
        default_catalog: the context's; it is dropped, while other catalogs are kept.
    """
    names = {fqn: shown(fqn, default_catalog, node) for fqn, node in nodes.items()}
    counts = Counter(names.values())
    return {fqn: name if counts[name] == 1 else fqn for fqn, name in names.items()}


def shown(fqn: str, default_catalog: str | None, node: Any = None) -> str:
    """The display name of one model, in the spelling of `node` if that is passed."""
    if node is None:
        return _shown(fqn, default_catalog, None, None)
    if not node.is_model:
        return own_name(node, fqn)
    return _shown(fqn, default_catalog, node.name, node.dialect)


def kind_of(node: Any) -> str:
    """The kind of a SQLMesh model, in lower case; `audit` for a standalone audit."""
    return str(node.kind.name.value).lower() if getattr(node, "is_model", False) else "audit"


# The reports of a session mostly cover the same models.
@lru_cache(maxsize=16384)
def _shown(fqn: str, default_catalog: str | None, own: str | None, dialect: str | None) -> str:
    qualified = exp.to_table(fqn)
    # The model's own name has the user's spelling but lacks some parts: models of two gateways
    # can have the same name.
    written = qualified if own is None else exp.to_table(own, dialect=dialect)
    parts = list(written.parts)[-2:]
    if qualified.catalog and not _is_default(qualified.catalog, default_catalog, dialect):
        catalog = written.parts[0] if len(written.parts) == 3 else qualified.parts[0]
        parts = [catalog, *parts]
    plain = ".".join(_plain(part).sql(dialect=dialect) for part in parts)
    # A name exactly as the user wrote it has already been parsed.
    if plain == own or _reads_back(plain, parts, dialect):
        return plain
    return ".".join(part.sql(dialect=dialect) for part in parts)


def _is_default(catalog: str, default_catalog: str | None, dialect: str | None) -> bool:
    """Whether it is the context's catalog, possibly as the model's dialect normalizes it: Snowflake
    models on DuckDB are in MEMORY."""
    if catalog == default_catalog or default_catalog is None:
        return catalog == default_catalog
    return catalog == normalize_identifiers(exp.to_identifier(default_catalog), dialect).name


def _plain(part: Any) -> Any:
    """The part without unnecessary quotes."""
    if isinstance(part, exp.Identifier) and exp.SAFE_IDENTIFIER_RE.match(part.this):
        return exp.to_identifier(part.this, quoted=part.quoted and part.this != part.this.lower())
    return part


def _reads_back(name: str, parts: list[Any], dialect: str | None) -> bool:
    """Whether the name without quotes still means these parts: keywords need quotes."""
    try:
        read = parse_one(name, into=exp.Table, dialect=dialect).parts
    except SqlglotError:
        return False
    return [part.name for part in read] == [part.name for part in parts]
