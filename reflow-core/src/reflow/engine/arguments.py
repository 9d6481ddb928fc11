"""The arguments of a task's elements, as canonical texts, and the identities they make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256

from reflow.engine.image import RunImage, TaskImage
from reflow.engine.settings import RunSettings
from reflow.errors import DefinitionError
from reflow.model.graph import Edge, WireMode
from reflow.model.json import Json
from reflow.model.records import Instance
from reflow.model.tasks import ResultInput, TaskSpec
from reflow.values.codecs import Codecs
from reflow.values.seal import content_fingerprint, join, may_refer, parts
from reflow.values.text import digest, dumps

Part = str | None
"""The text of one element's part; None while the element it is chained to has none."""


class TaskArguments:
    """What the elements of one task are given, read from the store as far as it is known."""

    def __init__(
        self, image: RunImage, settings: RunSettings, task: TaskImage, code: str, codecs: Codecs
    ) -> None:
        """Read what the inputs are wired to. Raises `DefinitionError` for unequal lengths."""
        self._image = image
        self._run_id = settings.run_id
        self.task = task
        self.code = code
        self._codecs = codecs
        self.common: dict[str, str] = _parameters(task.spec, settings)
        self._each: dict[str, list[Part]] = {}
        for item in task.spec.results:
            edges = [edge for edge in task.edges if edge.argument == item.argument]
            if edges[0].mode.each:
                self._each[item.argument] = [part for edge in edges for part in self._parts(edge)]
            else:
                self.common[item.argument] = self._whole(item, edges)
        self.each: tuple[str, ...] = tuple(self._each)
        self.size = self._agreed_size()
        common = {name: self._count(text) for name, text in self.common.items()}
        self.counted = {name: common[name] for name in common if may_refer(self.common[name])}
        """What those in `common` that may lead to files count by."""
        self._prefix = self._common_identity(common)

    def texts(self, index: int) -> tuple[str, ...]:
        """The texts of an element's own arguments, in the order of `each`."""
        found = []
        for values in self._each.values():
            text = values[index]
            assert text is not None, "an element is resolved only when its inputs are there"
            found.append(text)
        return tuple(found)

    def counts(self, texts: Sequence[str]) -> tuple[str, ...]:
        """What an element's own arguments count by at this moment."""
        return tuple(map(self._count, texts))

    def identity(self, counts: Sequence[str]) -> str:
        """What the cache keys an element on."""
        if not counts:
            return self._prefix
        return sha256("\n".join([self._prefix, *counts]).encode()).hexdigest()

    def _count(self, text: str) -> str:
        return content_fingerprint(text, self._codecs)

    def shown(self, index: int) -> Mapping[str, str]:
        """All wired and given arguments of an element, by name."""
        return {**self.common, **dict(zip(self.each, self.texts(index), strict=True))}

    # -- reading ---------------------------------------------------------------------------
    def _outputs(self, step: str) -> list[Part]:
        """The output of each element of a step, by index."""
        found: list[Part] = [None] * (self._image.tasks[step].size or 0)
        for index, text, _ in self._image.store.outputs(self._run_id, step):
            found[index] = text
        return found

    def _complete(self, step: str) -> list[str]:
        return [text for text in self._outputs(step) if text is not None]

    def _parts(self, edge: Edge) -> list[Part]:
        if edge.mode is WireMode.CHAIN:
            return self._outputs(edge.step)
        if edge.mode is WireMode.FAN_OUT_FLAT:
            return [part for text in self._complete(edge.step) for part in self._split(edge, text)]
        (text,) = self._complete(edge.step)
        return list(self._split(edge, text))

    def _whole(self, item: ResultInput, edges: Sequence[Edge]) -> str:
        if len(item.steps) == 1:
            return self._collected(edges[0])
        return join([part for edge in edges for part in self._split(edge, self._collected(edge))])

    def _collected(self, edge: Edge) -> str:
        texts = self._complete(edge.step)
        if edge.mode.gathers:
            return join(texts)
        if edge.mode.flattens:
            return join([part for text in texts for part in self._split(edge, text)])
        (text,) = texts
        return text

    def _split(self, edge: Edge, text: str) -> list[str]:
        try:
            return parts(text)
        except ValueError as error:
            raise DefinitionError(
                f"task {edge.task!r} wants a list from {edge.step!r} for {edge.argument!r}, and "
                f"got something else: {text[:60]}"
            ) from error

    # -- what follows from it --------------------------------------------------------------
    def _agreed_size(self) -> int:
        if not self._each:
            return 1
        sizes = {name: len(values) for name, values in self._each.items()}
        if len(set(sizes.values())) > 1:
            counted = ", ".join(f"{name!r} has {size}" for name, size in sizes.items())
            raise DefinitionError(
                f"the lists that task {self.task.name!r} goes through differ in length: {counted}"
            )
        return next(iter(sizes.values()))

    def _common_identity(self, common: Mapping[str, str]) -> str:
        counted: Json = dict(common)
        after: Json = [
            [name, _digest_of_all(self._image.tasks[name].instances)]
            for name in self.task.spec.after
        ]
        return digest(dumps([self.task.name, self.code, counted, after]))


def _parameters(spec: TaskSpec, settings: RunSettings) -> dict[str, str]:
    found = {}
    for item in spec.parameters:
        keyword = item.keyword(spec.name)
        if keyword not in settings.parameters:
            raise DefinitionError(
                f"task {spec.name!r} was given the parameter {keyword!r} since "
                f"{settings.run_id} was submitted: start a new run"
            )
        found[item.argument] = settings.parameters[keyword]
    return found


def _digest_of_all(instances: Sequence[Instance]) -> str:
    return digest(dumps([item.identity for item in instances]))
