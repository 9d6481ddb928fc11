"""The base class of most codecs."""

from __future__ import annotations

from collections.abc import Sequence

from reflow.model.json import Json


class SelfContained:
    """Base of codecs whose data is complete: no file outside of it, nothing to go stale."""

    def places(self, data: Json) -> Sequence[str]:
        """Return no paths."""
        return ()

    def fingerprint(self, data: Json) -> Json:
        """Return the data itself."""
        return data
