"""Fixtures for everything that touches another process."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from symbolizers.process import memory as reader_module
from symbolizers.process.memory import ReadStrategy, available_strategies
from tests.support.process.emulation import readv_with_flags
from tests.support.process.targets import PAGE, Target, running

FILE_PAGES = 256
SWAP_BYTES = 64 << 20


@pytest.fixture(params=list(ReadStrategy), ids=lambda strategy: strategy.value)
def strategy(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ReadStrategy:
    """Both strategies on every kernel; the flags are emulated where the kernel lacks them."""
    chosen = request.param
    assert isinstance(chosen, ReadStrategy)
    if chosen not in available_strategies():
        monkeypatch.setattr(reader_module, "process_vm_readv", readv_with_flags)
    return chosen


@pytest.fixture(scope="session")
def pages_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """256 pages, each filled with its number (from 1, modulo 256), and a copy, ``.cold``, written back."""
    path = tmp_path_factory.mktemp("pages") / "pages"
    content = b"".join(bytes([(page + 1) % 256]) * PAGE for page in range(FILE_PAGES))
    path.write_bytes(content)
    cold = path.with_name("pages.cold")
    cold.write_bytes(content)
    with open(cold, "rb") as file:
        os.fsync(file.fileno())
    return path


@pytest.fixture(scope="module")
def memory(pages_file: Path) -> Iterator[Target]:
    """A target with regions of every kind, shared by tests that leave it as it is."""
    with running("memory", pages_file) as target:
        yield target


@pytest.fixture(scope="module")
def swap() -> Iterator[None]:
    """Swap on a zram device of our own."""
    control = Path("/sys/class/zram-control")
    number = (control / "hot_add").read_text().strip()
    device = f"/dev/zram{number}"
    Path(f"/sys/block/zram{number}/disksize").write_text(str(SWAP_BYTES))
    try:
        subprocess.run(["mkswap", device], check=True, capture_output=True)
        subprocess.run(["swapon", device], check=True, capture_output=True)
        yield
        subprocess.run(["swapoff", device], check=True, capture_output=True)
    finally:
        (control / "hot_remove").write_text(number)
