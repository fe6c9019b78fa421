"""What is known of a model now, beside what a run would report of it. Does not import SQLMesh."""

from __future__ import annotations

from pytest_sqlmesh_tracker.outcomes.types import Frozen, UtcDatetime


class ModelNow(Frozen):
    """What is known of a model of an environment now, beside what a run would report of it."""

    loaded_through: UtcDatetime | None = None
    """The exclusive end of what is loaded without a gap; None if nothing is loaded."""
    assumed_ready: tuple[str, ...] = ()
    """The names of its signals that were not called, although a run would call them."""
    next_restatement: UtcDatetime | None = None
    """When SQLMesh will next restate the model by its own `auto_restatement_cron`, after a run now;
    None if it will not, as outside prod."""
    shared_with: tuple[str, ...] = ()
    """The names of other environments whose runs load the same table, so that the model can be
    loaded although this environment was not run."""
