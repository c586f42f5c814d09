"""The programs that take names at the interrupt: they take what a reader finds, or leave it to the reader."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from profiler.capture.header import read_header
from symbolizers.frame import capture_kind
from symbolizers.registry import LANGUAGES, NAMERS
from symbolizers.taken import TakenCode, TakenName
from tests.support.walkers.corpus import EXTREMES, forged, lies, rows_of, soup
from tests.support.walkers.harness import Harness, Image, Walk
from tests.support.walkers.targets import PROGRAMS, Target, take
from tests.walkers.test_hostile import LIES, NAMES, SOUPS, limits

CASES = [language.name for language in LANGUAGES if language.name in PROGRAMS]
MOST_NAMES = 32
MOST_BYTES = 6144
"""Of all records of one sample, but for the last."""
MOST_TAIL_CALLS = 33

_DEFINES = read_header("records.h").defines
_HEAD_BYTES = read_header("records.h").structs["name_head"].layout.size


def named(name: TakenName) -> TakenCode | None:
    """The code object of a name that was taken."""
    return NAMERS[capture_kind(name.address)](name)


def check(walk: Walk, without: Walk | None = None) -> None:
    """What holds of all names, whatever the memory; the sample is as it is `without` any."""
    texts = [text for name in walk.names for text in name.texts if text is not None]
    assert len(walk.names) <= MOST_NAMES
    assert all(len(text) <= _DEFINES["TEXT_BYTES"] for text in texts)
    last = 4 * _DEFINES["TEXT_BYTES"] + _HEAD_BYTES
    assert sum(map(len, texts)) + _HEAD_BYTES * len(walk.names) <= MOST_BYTES + last
    assert walk.tail_calls <= MOST_TAIL_CALLS
    assert without is None or walk.sample == without.sample
    frames = {(frame.address, frame.checksum) for frame in walk.sample.interpreter}
    assert {(name.address, name.checksum) for name in walk.names} <= frames
    for name in walk.names:
        named(name)


def agree(target: Target, walk: Walk) -> list[TakenCode]:
    """What was taken of the names, all of which the reader finds, too."""
    found = []
    for name in walk.names:
        taken = named(name)
        code = target.codes[name.address, name.checksum]
        assert taken is not None, (name, code)
        assert (taken.code == code) or not taken.is_whole, name
        found.append(taken)
    return found


@pytest.mark.parametrize("language", CASES)
@pytest.mark.parametrize("scenario", ["kinds", "thread"])
def test_names_are_those_that_the_reader_finds(harness: Harness, language: str, scenario: str) -> None:
    target = take(harness, language, scenario)
    walk = harness.walk(target.image, named=True)
    check(walk, target.walk)
    taken = agree(target, walk)
    assert len(taken) == min(len(target.codes), MOST_NAMES)
    assert all(each.is_whole for each in taken), [each.code for each in taken if not each.is_whole]


@pytest.mark.parametrize("language", CASES)
def test_a_read_that_faults_leaves_a_text_to_the_reader(harness: Harness, language: str) -> None:
    """Each read for a name, in turn: the sample is whole, and whatever was taken all the same is true."""
    target = take(harness, language, "kinds")
    whole = harness.walk(target.image, named=True)
    lost = 0
    for number in range(target.walk.reads + 1, whole.reads + 1):
        walk = harness.walk(target.image, fails_at=number, named=True)
        check(walk, target.walk)
        lost += walk.names != whole.names
        taken = {(name.address, name.checksum): named(name) for name in walk.names}
        for key, each in taken.items():
            code = target.codes[key]
            assert each is None or not each.is_whole or each.code == code
    assert lost > (whole.reads - target.walk.reads) * 0.8


@pytest.mark.parametrize("language", CASES)
def test_any_word_of_a_name_may_lie(harness: Harness, language: str) -> None:
    target = take(harness, language, "kinds")
    words = harness.walk(target.image, named=True, traced=True).words()
    for address in words:
        for garbage in (*EXTREMES, address, address - 8, words[len(words) // 2]):
            check(harness.walk(target.image, {address: garbage}, named=True))
    assert len(words) > 300


@pytest.mark.parametrize("language", [name for name in NAMES if forged(name)])
def test_several_words_of_any_version_may_lie(harness: Harness, language: str) -> None:
    images = [(image, harness.walk(image, traced=True, named=True).words()) for image in forged(language)]

    @given(which=st.sampled_from(images), seed=st.integers(0, 1 << 32))
    @settings(limits, max_examples=LIES)
    def attempt(which: tuple[Image, list[int]], seed: int) -> None:
        image, words = which
        check(harness.walk(image, lies(image, words, seed), named=True))

    attempt()


@pytest.mark.parametrize("language", NAMES)
def test_words_without_sense_end(harness: Harness, language: str) -> None:
    """As for the walkers: what others left in the scratch may be found by a layout of no version."""
    rows = [dict(row.numbers()) for row in rows_of(language)]

    @given(row=st.sampled_from(rows), small=st.booleans(), seed=st.integers(0, 1 << 32))
    @settings(limits, max_examples=SOUPS)
    def attempt(row: dict[str, int], small: bool, seed: int) -> None:
        if small:  # near enough for most words to lead to others
            row = {name: number % 128 & ~7 or 8 for name, number in row.items()}
        check(harness.walk(soup(language, row, seed), twice=not small, named=True))

    attempt()
