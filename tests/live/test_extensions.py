"""The cost of extension modules hangs below the Python function that called them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.live.harness import WORKLOADS, Recorded, record

HZ = 199
SECONDS = 1.0
CYTHON = """\
def spin(int count):
    cdef double x = 1
    cdef int i
    for i in range(count):
        x = x * 1.0001 + helper(x)
    return x

cdef double helper(double x):
    return x / 3 if x < 1e9 else -x
"""
MODULES = {
    "by_numpy": "_multiarray_umath.",
    "by_zlib": "libz.so",
    "by_orjson": "orjson.",
    "by_cython": "cythonized.",
}
"""By function, how the name of the file begins in which its time goes."""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    folder = tmp_path_factory.mktemp("extensions")
    source = folder / "cythonized.pyx"
    source.write_text(CYTHON)
    cythonize = Path(sys.executable).with_name("cythonize")
    subprocess.run([cythonize, "-3", "-i", source], check=True, capture_output=True, cwd=folder)
    script = WORKLOADS / "extensions.py"
    # The first recording leaves the unwind tables of its files.
    for seconds in (0.2, SECONDS):
        command = [sys.executable, str(script), str(seconds), str(folder)]
        found = record(folder, "-F", str(HZ), command=command)
    found.accounted()
    return found


@pytest.mark.parametrize("function", MODULES)
def test_it_is_below_the_function_that_called(recorded: Recorded, function: str) -> None:
    calls = ["<module>", "main", "burn", function]
    right = wrong = 0
    for stack, count in recorded.stacks.items():
        if any(f"({MODULES[function]}" in frame or f"[{MODULES[function]}" in frame for frame in stack):
            python = [frame.partition(" (")[0] for frame in stack if "extensions.py:" in frame]
            if python == calls:
                right += count
            elif "burn" in python:
                wrong += count
    assert right > 0.7 * SECONDS * HZ, recorded.stacks
    assert wrong <= 0.01 * right
