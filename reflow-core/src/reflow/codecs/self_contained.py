"""The base class of most codecs."""

from __future__ import annotations

from collections.abc import Sequence

from reflow.model.json import Json


class SelfContained:
    """Base of codecs whose data is complete: no file of its own outside of it, nothing to go stale.

    Bytes that it has handed to `CodecContext.write_bytes` are in its data, wherever they lie.
    """

    needs_class = False

    def places(self, data: Json) -> Sequence[str]:
        """Return no paths."""
        return ()

    def fingerprint(self, data: Json) -> Json:
        """Return the data itself."""
        return data
