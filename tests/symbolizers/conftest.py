"""The service and processes that it looks into."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from symbolizers.service import Service
from tests.support.process.targets import Target, running


@pytest.fixture
def service() -> Service:
    return Service(lines=False)


@pytest.fixture(scope="module")
def python() -> Iterator[Target]:
    """A CPython process that waits."""
    with running("heap", 1) as target:
        yield target


@pytest.fixture(scope="module")
def plain() -> Iterator[int]:
    """A process without any interpreter."""
    with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"r")
        assert process.stdout.read(1) == b"r"
        yield process.pid
        process.kill()
