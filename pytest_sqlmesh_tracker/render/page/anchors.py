"""The addresses within a page: `#3f2a9c1b` for an invocation, `#3f2a9c1b/sales.orders` for a model.

They come from what they address, never from its place: they lead to the same when a page is made
again, also of more reports.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from urllib.parse import quote
from uuid import UUID

_LONGEST = 160


def invocation_anchors(ids: Sequence[UUID]) -> list[str]:
    """Unique ones: the first digits of each report's id, with a number where they occur again."""
    counts: Counter[str] = Counter()
    anchors = []
    for report_id in ids:
        digits = report_id.hex[:8]
        counts[digits] += 1
        anchors.append(digits if counts[digits] == 1 else f"{digits}-{counts[digits]}")
    return anchors


def model_anchor(invocation: str, name: str) -> str:
    """Percent-encoded as browsers do it, so that it is the id of the element and its address.

    Unique within an invocation: of a name that is too long, the rest becomes a digest.
    """
    encoded = quote(name, safe="", errors="surrogatepass")
    if len(encoded) > _LONGEST:
        digest = hashlib.sha256(encoded.encode()).hexdigest()[:16]
        encoded = f"{encoded[: _LONGEST - 40]}~{digest}"
    return f"{invocation}/{encoded}"
