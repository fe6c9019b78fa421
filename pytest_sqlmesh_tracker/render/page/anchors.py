"""Anchors within a page: `#3f2a9c1b` for an invocation, `#3f2a9c1b/sales.orders` for a model.

They are derived from what they address, not from its position, so they stay valid if the page is
made again, even from more reports.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from urllib.parse import quote
from uuid import UUID

_LONGEST = 160


def invocation_anchors(ids: Sequence[UUID]) -> list[str]:
    """Unique anchors: the first digits of each report's id, with a number if they are repeated."""
    counts: Counter[str] = Counter()
    anchors = []
    for report_id in ids:
        digits = report_id.hex[:8]
        counts[digits] += 1
        anchors.append(digits if counts[digits] == 1 else f"{digits}-{counts[digits]}")
    return anchors


def model_anchor(invocation: str, name: str) -> str:
    """The anchor of a model, percent-encoded as in browsers, so that it is both id and address.

    It is unique within an invocation. The end of a name that is too long is replaced by a digest.
    """
    encoded = quote(name, safe="", errors="surrogatepass")
    if len(encoded) > _LONGEST:
        digest = hashlib.sha256(encoded.encode()).hexdigest()[:16]
        encoded = f"{encoded[: _LONGEST - 40]}~{digest}"
    return f"{invocation}/{encoded}"
