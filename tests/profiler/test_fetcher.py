"""What is fetched from debuginfod servers: which are asked, how much they may send, where it is kept."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from profiler.capture import cache
from profiler.errors import UsageError
from profiler.fetcher import Fetcher, servers
from tests.support.debug_server import DebugServer

FOUND, MISSING = "ab" * 20, "cd" * 20


@pytest.fixture
def server() -> Iterator[DebugServer]:
    with DebugServer({bytes.fromhex(FOUND): b"symbols" * 9000}) as started:
        yield started


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(cache, "folder", lambda: tmp_path / "cache")
    return tmp_path / "cache"


def fetched(*urls: str, build_ids: tuple[str, ...] = (MISSING, FOUND), limit_s: float = 60.0) -> list[str]:
    fetcher = Fetcher(urls)
    try:
        return fetcher.fetch(build_ids, limit_s)
    finally:
        fetcher.close()


def test_what_a_server_has_is_kept_and_not_fetched_again(server: DebugServer, folder: Path) -> None:
    assert fetched(server.url) == [FOUND]
    kept = folder / f"{FOUND}.debug"
    assert kept.read_bytes() == b"symbols" * 9000
    assert (kept.stat().st_mode & 0o777, kept.stat().st_uid) == (0o600, os.getuid())
    assert os.listdir(folder) == [kept.name]
    assert server.asked == [f"/buildid/{each}/debuginfo" for each in (MISSING, FOUND)]
    assert fetched(server.url, build_ids=(FOUND,)) == []
    assert len(server.asked) == 2


def test_the_next_server_is_asked_where_one_does_not_have_it(server: DebugServer) -> None:
    assert fetched("http://127.0.0.1:9", f"{server.url}/", build_ids=(FOUND,)) == [FOUND]


@pytest.mark.parametrize("how", ["cut", "stuck", "elsewhere"])
def test_what_does_not_come_whole_in_time_is_not_kept(server: DebugServer, folder: Path, how: str) -> None:
    server.how = how
    assert fetched(server.url, build_ids=(FOUND,), limit_s=3.0) == []
    assert os.listdir(folder) == []


def test_what_is_too_long_is_not_kept(folder: Path) -> None:
    with DebugServer({bytes.fromhex(FOUND): b"\0" * (1 << 20)}) as server:
        server.times = 300
        assert fetched(server.url, build_ids=(FOUND,)) == []
    assert os.listdir(folder) == []


@pytest.mark.parametrize(
    "urls", ["", "http://example.org", "https://example.org file:///etc", "ftp://localhost", "localhost"]
)
def test_only_https_is_spoken_and_http_to_this_machine(urls: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEBUGINFOD_URLS", urls)
    with pytest.raises(UsageError, match="DEBUGINFOD_URLS"):
        servers()
    monkeypatch.setenv("DEBUGINFOD_URLS", "https://a.example http://localhost:8002/x http://[::1]:8002")
    assert len(servers()) == 3
