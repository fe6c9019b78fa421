"""Why `Context.audit` ran no audit of a model."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_sqlmesh_tracker.outcomes.vocabulary import Reason, Status
from pytest_sqlmesh_tracker.tracking.events.recording import Recording
from pytest_sqlmesh_tracker.tracking.intervals.snapshots import Snapshots

from .explaining import interrupted
from .finding import Finding, UnexplainedError
from .models import Models


@dataclass(frozen=True)
class AuditExplainer:
    """Explains what a call to `Context.audit` did not audit."""

    recording: Recording
    models: Models

    def executed(self, name: str, next_run: Snapshots) -> Finding:  # noqa: ARG002
        """`Context.audit` evaluates nothing."""
        return Finding(Status.EXECUTED)

    def not_scheduled(self, name: str) -> Finding:
        """Why no audit of the model ran."""
        recording = self.recording
        if recording.raised is not None and not recording.rounds:
            return interrupted(recording)
        reached = bool(recording.rounds) and name in (recording.rounds[0].batches or ())
        selected = reached or self._selected(name)
        has_audits = bool(self.models.nodes[name].audits_with_args)
        if selected and has_audits and recording.raised is not None and not reached:
            return interrupted(recording)
        finding = Finding(Status.SKIPPED)
        if not selected:
            finding = finding.because(Reason.NOT_SELECTED, "observed")
        if selected or not has_audits:
            finding = finding.because(Reason.NO_AUDITS, "observed")
        return finding

    def _selected(self, name: str) -> bool:
        """Whether a model that SQLMesh did not reach was selected to be audited."""
        selection = self.recording.arguments.get("models")
        if self.recording.raised is None:
            # SQLMesh reached every selected model.
            return not selection
        if isinstance(selection, str):
            raise UnexplainedError("the tracker could not determine which models were selected")
        known_as = {name, self.models.nodes[name].name, self.models.names[name]}
        lowered = {known.lower() for known in known_as}
        return not selection or any(str(each).lower() in lowered for each in selection)
