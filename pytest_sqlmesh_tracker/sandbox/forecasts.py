"""What a sandbox says of the runs to come."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from pytest_sqlmesh_tracker.forecast.forecasting import Assumed, forecast
from pytest_sqlmesh_tracker.forecast.results import Forecast
from pytest_sqlmesh_tracker.sandbox.data.models import index_of
from pytest_sqlmesh_tracker.tracking.errors.types import ProjectError

from .clock import Clock, Moment, end_of, run_times, shown
from .context import SandboxContext
from .faults import Faults
from .in_force import Surroundings
from .options import SandboxError


class ForecastMethods:
    """The methods of a sandbox that look ahead."""

    context: SandboxContext
    _clock: Clock
    _environment: str
    _faults: Faults
    _surroundings: Surroundings

    def forecast(
        self,
        until: Moment,
        *,
        every: str | timedelta | None = None,
        environment: str | None = None,
        failing: object = (),
        held: object = (),
    ) -> Forecast:
        """Forecast which models the coming runs will evaluate, without running them.

        Faults and holds of the sandbox are assumed to stay. If a fault strikes only one batch, an
        audit, or a limited number of times, what depends on it is undetermined.

        Args:
            until: the latest time of a run, or a duration from the time that was last set.
            every: when the environment is run, as in `run_until`: the duration between two runs or
                a cron in UTC. None means each moment at which something becomes due.
            environment: the environment's name; None means the marker's environment.
            failing: models that are also assumed to fail: a name, a glob, a SQLMesh model or
                snapshot, or several of these.
            held: models that are also assumed to be held back by a signal.

        Raises:
            SandboxError: `until` is not after the time that was last set, no run takes place until
                then, or the environment is not planned.
            UnknownModelError: the project does not have one of the models.
        """
        __tracebackhide__ = True
        at = self._clock.latest
        last = end_of(until, since=at)
        if last <= at:
            raise SandboxError(
                f"forecast({until!r}) must end after the time that was last set, {shown(at)}"
            )
        times = None if every is None else run_times(until, every, since=at, call="forecast")
        assumed = Assumed(
            failing=self._faults.failing | self._fqns(failing),
            held=self._fqns(held) | self._faults.held,
            uncertain=self._faults.uncertain,
        )
        self._faults.assume_in_forecast()
        environment = environment or self._environment
        try:
            with self._surroundings.in_use():
                return forecast(
                    self.context, environment, at=at, until=last, times=times, assumed=assumed
                )
        except ProjectError as error:
            raise SandboxError(str(error)) from None

    def _fqns(self, models: object) -> frozenset[str]:
        __tracebackhide__ = True
        several: Iterable[object] = (
            models if isinstance(models, Iterable) and not isinstance(models, str) else (models,)
        )
        index = index_of(self.context)
        return frozenset(match.fqn for model in several for match in index.matching(model))
