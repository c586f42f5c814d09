"""The cache folder: ours alone, or it is not used."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from profiler.capture import cache
from profiler.capture.cache import SAMPLERS, CacheRefused, key_of


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "above" / "pidflame"
    monkeypatch.setattr(cache, "folder", lambda: folder)
    return folder


def test_what_is_kept_is_there_and_for_nobody_else(folder: Path) -> None:
    assert SAMPLERS.read("a" * 64) is None
    SAMPLERS.keep("a" * 64, b"first")
    SAMPLERS.keep("b" * 64, b"second")
    SAMPLERS.keep("a" * 64, b"third")
    assert (SAMPLERS.read("a" * 64), SAMPLERS.read("b" * 64), SAMPLERS.read("c" * 64)) == (
        b"third",
        b"second",
        None,
    )
    assert folder.stat().st_mode & 0o7777 == 0o700
    assert {path.stat().st_mode & 0o7777 for path in folder.iterdir()} == {0o600}
    assert len(list(folder.iterdir())) == 2


def test_the_oldest_go(folder: Path) -> None:
    for number in range(28):
        SAMPLERS.keep(str(number), b"")
        os.utime(folder / f"{number}.sampler.json", (number, number))
    SAMPLERS.keep("new", b"")
    assert len(list(folder.iterdir())) == 24
    assert (SAMPLERS.read("0"), SAMPLERS.read("27"), SAMPLERS.read("new")) == (None, b"", b"")


@pytest.mark.parametrize("mode", [0o777, 0o750, 0o701])
def test_a_folder_that_others_get_into_is_refused(folder: Path, mode: int) -> None:
    SAMPLERS.keep("a", b"data")
    folder.chmod(mode)
    with pytest.raises(CacheRefused, match=f"has mode {mode:04o}"):
        SAMPLERS.read("a")
    with pytest.raises(CacheRefused, match=f"has mode {mode:04o}"):
        SAMPLERS.keep("a", b"other")


def test_a_file_that_others_may_write_is_refused(folder: Path) -> None:
    SAMPLERS.keep("a", b"data")
    (folder / "a.sampler.json").chmod(0o622)
    with pytest.raises(CacheRefused, match=r"a\.sampler\.json belongs to user"):
        SAMPLERS.read("a")


def test_links_and_pipes_are_refused(folder: Path, tmp_path: Path) -> None:
    SAMPLERS.keep("a", b"data")
    (folder / "b.sampler.json").symlink_to(folder / "a.sampler.json")
    os.mkfifo(folder / "c.sampler.json", 0o600)
    for key in "bc":
        with pytest.raises(CacheRefused):
            SAMPLERS.read(key)
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CacheRefused):
        SAMPLERS.read("a")


@pytest.mark.root
def test_a_folder_of_another_user_is_refused(folder: Path) -> None:
    SAMPLERS.keep("a", b"data")
    os.chown(folder, 1000, 1000)
    with pytest.raises(CacheRefused, match="belongs to user 1000"):
        SAMPLERS.read("a")


def test_a_place_that_takes_nothing_is_refused(folder: Path) -> None:
    folder.parent.write_text("a file")
    with pytest.raises(CacheRefused):
        SAMPLERS.keep("a", b"data")


def test_a_key_tells_its_parts_apart() -> None:
    keys = {key_of(b"ab", b"c"), key_of(b"a", b"bc"), key_of(b"abc"), key_of(b"abc", b"")}
    assert len(keys) == 4
    assert key_of(b"abc") == key_of(b"abc")


def test_root_has_one_of_the_systems(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("XDG_CACHE_HOME", "/home/someone/.cache")
    assert cache.folder() == Path("/var/cache/pidflame")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert cache.folder() == Path("/home/someone/.cache/pidflame")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/other")
    assert cache.folder() == Path("/home/other/.cache/pidflame")
