"""Looking at the files that a run's parameters name: once, when it is submitted."""

from __future__ import annotations

from reflow.codecs.stored_result import may_refer
from reflow.execution.execute import plugin_codecs
from reflow.fingerprint.files.contents import Contents, FolderMemory, Memory, OwnMemory
from reflow.fingerprint.files.look_progress import LookProgress, bytes_read
from reflow.fingerprint.files.states import Mode
from reflow.model.canonical import loads
from reflow.model.graph import Graph
from reflow.model.json import Json
from reflow.rundir.file_states import places_in, states_as_json
from reflow.rundir.looks import RunLooks, files_mode
from reflow.rundir.run_settings import RunSettings


def look_at_parameters(graph: Graph, settings: RunSettings) -> dict[str, dict[str, Json]]:
    """Return the states of the files that parameters refer to, by mode and keyword."""
    contents = Contents(_memory(settings), LookProgress(bytes_read))
    looks = RunLooks(settings, progress=LookProgress(), contents=contents)
    codecs = plugin_codecs()
    found: dict[str, dict[str, Json]] = {}
    for mode, keyword in _wanted(graph, settings):
        places = places_in(
            codecs.places(loads(settings.parameters[keyword])), settings.working_directory
        )
        states = [looks.state(place, mode) for place in places]
        found.setdefault(mode, {})[keyword] = states_as_json(states)
    return found


def _wanted(graph: Graph, settings: RunSettings) -> dict[tuple[Mode, str], None]:
    """Return mode and keyword of parameters that may name files, other than to write to them."""
    return {
        (files_mode(spec, settings), keyword): None
        for spec in graph.tasks.values()
        for item in spec.parameters
        if not item.output and may_refer(settings.parameters[keyword := item.keyword(spec.name)])
    }


def _memory(settings: RunSettings) -> Memory:
    """Return what was read at earlier submissions, unless everything is to be verified."""
    if settings.verify:
        return OwnMemory()
    from platformdirs import user_cache_path

    return FolderMemory(user_cache_path("reflow") / "contents")
