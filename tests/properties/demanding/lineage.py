"""What is upstream of a model, and what a selection expands to."""

from __future__ import annotations

from collections.abc import Iterable

from tests.properties.playing.state import Snapshots, shown


def ancestors(fqn: str, snapshots: Snapshots) -> set[str]:
    """All models upstream, by fully qualified name."""
    above: set[str] = set()
    todo = [fqn]
    while todo:
        snapshot = snapshots.get(todo.pop())
        for parent in snapshot.parents if snapshot else ():
            if parent.name not in above:
                above.add(parent.name)
                todo.append(parent.name)
    return above


def expanded(selection: Iterable[str], versions: Snapshots) -> set[str]:
    """The models that selectors such as `+name+` name."""
    models = {shown(fqn): fqn for fqn, version in versions.items() if version.is_model}
    selected: set[str] = set()
    for item in selection:
        fqn = models.get(item.strip("+"))
        if fqn is None:
            continue
        selected.add(fqn)
        if item.startswith("+"):
            selected |= ancestors(fqn, versions)
        if item.endswith("+"):
            selected |= {other for other in models.values() if fqn in ancestors(other, versions)}
    return selected & set(models.values())
