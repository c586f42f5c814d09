"""Memory that lies: every walk ends, soon, within its scratch, and says how.

The harness's program ends where a sanitizer finds a write or a read outside, and the test with it.
"""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from profiler.capture.header import read_header
from profiler.capture.wire import WalkStatus
from symbolizers.frame import capture_kind
from symbolizers.layout import ABSENT_NUMBER
from symbolizers.registry import LANGUAGES
from tests.support.walkers import forged_python
from tests.support.walkers.corpus import EXTREMES, forged, lies, rows_of, soup
from tests.support.walkers.harness import Harness, Image, Walk
from tests.support.walkers.targets import PROGRAMS, take

NAMES = [language.name for language in LANGUAGES]
MOST_RUNS = 26
MOST_READS_A_RUN, MOST_READS_BESIDE = 400, 200
"""The first run with frames also looks for their thread. The head of sample.c says what this comes to."""
SOUPS = 1000
LIES = 1000

limits = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck), derandomize=True)


def kinds_of(language: str) -> set[int]:
    """The kinds of frames and annotations that a walker may capture."""
    return set(read_header(f"{language}_layout.h").enums[f"{language}_kind"].values())


def check(walk: Walk, language: str) -> WalkStatus:
    """What holds of every walk, whatever the memory."""
    assert walk.tail_calls <= MOST_RUNS
    assert walk.reads <= MOST_READS_A_RUN * walk.tail_calls + MOST_READS_BESIDE
    assert {capture_kind(frame.address) for frame in walk.sample.interpreter} <= kinds_of(language)
    status = WalkStatus(walk.sample.walk_status)
    if status == WalkStatus.TRUNCATED:
        assert walk.tail_calls == MOST_RUNS or len(walk.sample.interpreter) == 1024
    return status


@pytest.mark.parametrize("language", [name for name in NAMES if name in PROGRAMS])
def test_any_word_of_a_real_interpreter_may_lie(harness: Harness, language: str) -> None:
    """Each word that its walk reads, replaced in turn by others: by its own address, too."""
    target = take(harness, language, "kinds")
    words = target.walk.words()
    outcomes: Counter[WalkStatus] = Counter()
    for address in words:
        for garbage in (*EXTREMES, address, address - 8, words[len(words) // 2]):
            walk = harness.walk(target.image, {address: garbage})
            outcomes[check(walk, language)] += 1
    assert len(words) > 200
    assert min(outcomes[status] for status in (WalkStatus.COMPLETE, WalkStatus.FAULT)) > len(words) / 4
    assert harness.walk(target.image).sample == target.walk.sample, "the image is whole again"


@pytest.mark.parametrize("language", [name for name in NAMES if forged(name)])
def test_several_words_of_any_version_may_lie(harness: Harness, language: str) -> None:
    images = [(image, harness.walk(image, traced=True).words()) for image in forged(language)]
    outcomes: Counter[WalkStatus] = Counter()

    @given(which=st.sampled_from(images), seed=st.integers(0, 1 << 32))
    @settings(limits, max_examples=LIES)
    def attempt(which: tuple[Image, list[int]], seed: int) -> None:
        image, words = which
        outcomes[check(harness.walk(image, lies(image, words, seed)), language)] += 1

    attempt()
    assert min(outcomes[status] for status in (WalkStatus.COMPLETE, WalkStatus.FAULT)) > 10, outcomes


@pytest.mark.parametrize("language", NAMES)
def test_words_without_sense_end(harness: Harness, language: str) -> None:
    """Also by layouts of no version: these may find in the scratch what others left, but not leave it."""
    fields = read_header(f"{language}_layout.h").structs[f"{language}_layout"].fields
    rows = [dict(row.numbers()) for row in rows_of(language)]
    numbers = st.one_of(st.sampled_from([0, 8, 512, 4096, ABSENT_NUMBER]), st.integers(0, ABSENT_NUMBER))
    outcomes: Counter[WalkStatus] = Counter()

    @given(
        row=st.sampled_from(rows),
        changed=st.dictionaries(st.sampled_from(fields), numbers, max_size=3),
        small=st.booleans(),
        seed=st.integers(0, 1 << 32),
    )
    @settings(limits, max_examples=SOUPS)
    def attempt(row: dict[str, int], changed: dict[str, int], small: bool, seed: int) -> None:
        offsets = row | changed
        if small:  # near enough for most words to lead to others
            offsets = {name: number % 128 & ~7 or 8 for name, number in offsets.items()}
        walk = harness.walk(soup(language, offsets, seed), twice=offsets == row)
        outcomes[check(walk, language)] += 1

    attempt()
    assert outcomes[WalkStatus.FAULT] > SOUPS / 10, outcomes
    assert {WalkStatus.COMPLETE, WalkStatus.FAULT} < {*outcomes}, outcomes


def test_threads_without_an_end_take_the_most_reads(harness: Harness) -> None:
    walk = harness.walk(forged_python.endless_threads(rows_of("python")[5]))
    assert check(walk, "python") == WalkStatus.TRUNCATED
    assert walk.reads > 0.9 * (MOST_RUNS - 2) * MOST_READS_A_RUN
