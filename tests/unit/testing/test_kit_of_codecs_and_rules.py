"""The tests that authors are given find out what is wrong with a codec or a rule."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from reflow.codecs.codecs import Codecs
from reflow.errors import PluginError, StoredValueError
from reflow.model.graph import WireMode
from reflow.testing.codecs import CodecConformance, FileCodecConformance
from reflow.testing.type_rules import TypeRuleConformance, question
from reflow.wiring.contract import WireQuestion

Kit = FileCodecConformance


class Pebble:
    def __init__(self, colour: str) -> None:
        self.colour = colour

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pebble) and self.colour == other.colour

    def __hash__(self) -> int:
        return hash(self.colour)


class PebbleCodec:
    """A good codec, which keeps each pebble in a file."""

    name = "pebble"
    needs_class = False

    def handles(self, kind: type) -> bool:
        return kind is Pebble

    def encode(self, value: Any, context: Any) -> Any:
        path = context.directory / f"{value.colour}.pebble"
        path.parent.mkdir(exist_ok=True)
        path.write_text(value.colour)
        return str(path)

    def decode(self, data: Any, kind: type, context: Any) -> Any:
        if not Path(data).exists() or Path(data).read_text() != Path(data).stem:
            raise StoredValueError(f"{data} is gone or changed")
        return Pebble(Path(data).stem)

    def places(self, data: Any) -> Any:
        return (data,)

    def fingerprint(self, data: Any) -> Any:
        return Path(data).stem


VALUES = [Pebble("grey"), Pebble("white")]


def try_codec(codec: Any, test: str, tmp_path: Path) -> None:
    """Run one test of the kit on a codec."""
    folder = tmp_path / "files"
    folder.mkdir()
    given = {
        "codec": codec,
        "codecs": Codecs(lambda: [codec]),
        "values": VALUES,
        "annotation": Any,
        "folder": folder,
        "tmp_path": tmp_path,
        "monkeypatch": pytest.MonkeyPatch(),
    }
    run: Callable[..., None] = getattr(Kit(), test)
    wanted = run.__code__.co_varnames[1 : run.__code__.co_argcount]
    run(**{name: given[name] for name in wanted})


def changed(**changes: Any) -> Any:
    """A codec that does some things otherwise."""
    return type("ChangedCodec", (PebbleCodec,), changes)()


def world_writable(self: Any, value: Any, context: Any) -> Any:
    data = PebbleCodec.encode(self, value, context)
    Path(data).chmod(0o666)
    return data


def read_unchecked(self: Any, data: Any, kind: type, context: Any) -> Any:
    return Pebble(Path(data).stem)


WRONG = {
    "test_its_name_is_a_word_that_is_not_taken": changed(name="path"),
    "test_it_handles_its_values_and_leaves_other_types_alone": changed(
        handles=lambda self, kind: issubclass(kind, object)
    ),
    "test_values_come_back_equal_and_of_the_same_type": changed(
        decode=lambda self, data, kind, context: Path(data).read_text()
    ),
    "test_values_come_back_from_within_others": changed(
        decode=lambda self, data, kind, context: Pebble("grey")
    ),
    "test_a_value_counts_the_same_wherever_it_was_stored": changed(
        fingerprint=lambda self, data: data
    ),
    "test_different_values_count_differently": changed(fingerprint=lambda self, data: 1),
    "test_others_may_not_write_its_files": changed(encode=world_writable),
    "test_it_names_every_file_that_it_wrote": changed(places=lambda self, data: ()),
    "test_a_value_whose_file_is_gone_cannot_be_read": changed(decode=read_unchecked),
    "test_a_file_that_was_changed_is_not_read_as_another_value": changed(decode=read_unchecked),
}


@pytest.mark.parametrize("test", WRONG)
def test_what_is_wrong_with_a_codec_is_found_out(test: str, tmp_path: Path) -> None:
    # pytest's own failure, where something that must be raised is not.
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        try_codec(WRONG[test], test, tmp_path)


@pytest.mark.parametrize("test", WRONG)
def test_nothing_is_found_wrong_with_a_good_codec(test: str, tmp_path: Path) -> None:
    try_codec(PebbleCodec(), test, tmp_path)


def test_a_codec_without_files_is_told_which_tests_are_for_it(tmp_path: Path) -> None:
    inside = changed(
        encode=lambda self, value, context: value.colour,
        decode=lambda self, data, kind, context: Pebble(data),
    )
    with pytest.raises(AssertionError, match=CodecConformance.__name__):
        try_codec(inside, "test_it_names_every_file_that_it_wrote", tmp_path)


class Rule:
    """Says the same of everything, or of what it is told to."""

    name = "pebbles"
    priority = 5

    def __init__(self, mode: WireMode, kind: Any = object) -> None:
        self.mode = mode
        self.kind = kind

    def decide(self, asked: WireQuestion) -> WireMode | None:
        return self.mode if self.kind in (object, asked.produced) else None


ASKED = question(Pebble, Pebble, consumer_array=True)
ANSWERS = [(ASKED, WireMode.BROADCAST)]


def test_nothing_is_found_wrong_with_a_good_rule() -> None:
    class OfPebbles(Rule):
        def decide(self, asked: WireQuestion) -> WireMode | None:
            return super().decide(asked) if asked == ASKED else None

    rule, kit = OfPebbles(WireMode.BROADCAST), TypeRuleConformance()
    kit.test_it_answers_as_its_author_says(rule, ANSWERS)
    kit.test_among_the_built_in_rules_it_has_its_way(rule, ANSWERS)
    kit.test_it_fails_at_no_type_and_never_answers_what_cannot_be(rule, ANSWERS)
    kit.test_ordinary_types_go_their_way_as_without_it(rule)


def test_a_rule_that_answers_otherwise_than_it_is_to_is_found_out() -> None:
    with pytest.raises(AssertionError):
        TypeRuleConformance().test_it_answers_as_its_author_says(
            Rule(WireMode.FAN_OUT, Pebble), ANSWERS
        )


def test_a_rule_that_answers_what_cannot_be_is_found_out() -> None:
    with pytest.raises(PluginError, match="pebbles"):
        TypeRuleConformance().test_it_fails_at_no_type_and_never_answers_what_cannot_be(
            Rule(WireMode.GATHER, Pebble), ANSWERS
        )


def test_a_rule_that_meddles_with_ordinary_types_is_found_out() -> None:
    class Meddling(Rule):
        def decide(self, asked: WireQuestion) -> WireMode | None:
            plain = not asked.producer_array and asked.consumer_array
            return WireMode.BROADCAST if plain else None

    with pytest.raises(AssertionError):
        TypeRuleConformance().test_ordinary_types_go_their_way_as_without_it(
            Meddling(WireMode.BROADCAST)
        )


def test_a_rule_that_does_not_get_its_way_is_found_out() -> None:
    class Late(Rule):
        priority = -1

    asked = question(list[str], str, consumer_array=True)
    with pytest.raises(AssertionError):
        TypeRuleConformance().test_among_the_built_in_rules_it_has_its_way(
            Late(WireMode.BROADCAST), [(asked, WireMode.BROADCAST)]
        )
