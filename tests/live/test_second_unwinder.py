"""Our walk of native stacks beside libdw's, of the same interrupts; `make oracle` compares many programs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.bench.native import Program
from tests.oracle.__main__ import compare
from tests.oracle.compare import GOES_ON
from tests.oracle.libdw import Libdw
from tests.oracle.programs import short_programs
from tests.oracle.taken import Taker, compiled

HZ = 499
LEAST_FRAMES = 500
MOST_S = 100.0


@pytest.fixture(scope="module")
def taker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Taker]:
    with closing(Taker(compiled(tmp_path_factory.mktemp("sampler")), HZ)) as found:
        yield found


@pytest.fixture(scope="module")
def libdw(tmp_path_factory: pytest.TempPathFactory) -> Libdw:
    return Libdw(tmp_path_factory.mktemp("libdw"))


@pytest.mark.parametrize("program", short_programs(), ids=lambda program: program.name)
def test_both_find_the_same_callers(program: Program, taker: Taker, libdw: Libdw, tmp_path: Path) -> None:
    found = compare(program, taker, libdw, tmp_path, MOST_S)
    print(found.samples, found.frames, found.agreement(), found.partly, found.others)
    assert taker.refused == []
    assert found.frames >= LEAST_FRAMES
    assert found.agreement() >= 99.5, [each.where() for each in found.differences]
    lost = sum(count for reason, count in found.others.items() if reason.endswith(GOES_ON))
    assert lost <= 0.005 * found.samples + 1, [each.where() for each in found.early]
