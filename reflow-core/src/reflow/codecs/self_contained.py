"""What most codecs have in common."""

from __future__ import annotations

from collections.abc import Sequence

from reflow.model.json import Json


class SelfContained:
    """Base for codecs whose data says everything: no file outside it, nothing to go stale."""

    def places(self, data: Json) -> Sequence[str]:
        """None."""
        return ()

    def fingerprint(self, data: Json) -> Json:
        """The data itself."""
        return data
