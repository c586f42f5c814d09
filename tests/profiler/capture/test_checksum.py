"""The kernel's checksum and Python's are the same number."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from profiler.capture.header import BPF_DIRECTORY
from symbolizers.checksum import checksum
from tests.support.compiled import PRELUDE, build

BPF_WORDS = """
#define BPF_FUNC_probe_read_user 112
#define BPF_FUNC_probe_read_kernel 113
#define BPF_FUNC_ktime_get_boot_ns 125
"""
NOT_FOR_GCC = re.compile(r"^(BPF_[A-Z_]+\(.*\);.*|#pragma unroll)$", re.MULTILINE)
"""Map definitions, and a pragma by which clang unrolls the loop for the verifier."""
ANSWERS = """
#include "maps.h"
int main(void)
{
    __u64 words[CHECKSUM_WORDS];
    (void)read_user;
    (void)read_kernel;
    (void)boot_ns;
    while (fread(words, sizeof(words), 1, stdin) == 1) {
        printf("%u\\n", checksum_words(words));
        fflush(stdout);
    }
    return 0;
}
"""
WORDS = 16
words_of_the_kernel = st.lists(st.integers(0, (1 << 64) - 1), max_size=WORDS)


class Kernel:
    """The C function, in a program that answers one window of words after the other."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def checksum(self, words: list[int]) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        window = [*words, *[0] * (WORDS - len(words))]
        self._process.stdin.write(b"".join(word.to_bytes(8, "little") for word in window))
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    directory = tmp_path_factory.mktemp("checksum")
    maps = NOT_FOR_GCC.sub("", (BPF_DIRECTORY / "maps.h").read_text())
    source = PRELUDE + BPF_WORDS + ANSWERS.replace('#include "maps.h"\n', maps)
    program = build(directory, "checksum", source)
    with subprocess.Popen([str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield Kernel(process)


@given(words=words_of_the_kernel)
@settings(deadline=None)
def test_both_sides_mix_words_to_the_same_number(kernel: Kernel, words: list[int]) -> None:
    assert checksum(words) == kernel.checksum(words)


@given(words_of_the_kernel, st.integers(0, WORDS))
def test_zeros_at_the_end_make_no_difference(words: list[int], zeros: int) -> None:
    assert checksum([*words, *[0] * zeros]) == checksum(words)


@given(
    words_of_the_kernel.filter(bool),
    st.integers(0, WORDS - 1),
    st.integers(1, 4),
)
def test_small_changes_show(words: list[int], place: int, change: int) -> None:
    """With 32 bits not every change can, but a reused object's nearby values have other checksums."""
    index = place % len(words)
    others = [*words]
    others[index] ^= change
    assert checksum(others) != checksum(words)


def test_order_matters() -> None:
    assert checksum([1, 2, 3]) != checksum([3, 2, 1])
    assert checksum([0, 1]) != checksum([1, 0])
