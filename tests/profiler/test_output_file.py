"""One output: under its name only when it is whole, never through a link, never over another file."""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import BinaryIO

import pytest

from profiler.commands import output_file
from profiler.commands.output_file import open_destination, rescue
from profiler.commands.output_folder import open_folder
from profiler.errors import UsageError
from tests.support.process.targets import NOBODY

TEXT = b"".join(b"line %d\n" % number for number in range(5000))


def text(stream: BinaryIO) -> None:
    stream.write(TEXT)


@pytest.fixture(autouse=True)
def _without_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUDO_UID", raising=False)
    monkeypatch.delenv("SUDO_GID", raising=False)


@pytest.fixture(params=["renameat2", "link"])
def _either_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a file system that has RENAME_NOREPLACE, and with one that refuses it."""
    if request.param == "link":

        def refuse(*_: object) -> int:
            ctypes.set_errno(errno.EINVAL)
            return -1

        monkeypatch.setattr(output_file, "_libc", SimpleNamespace(renameat2=refuse))


@contextmanager
def largest_file(size_bytes: int) -> Iterator[None]:
    """The kernel refuses to make files of this process larger: EFBIG, in the middle of a write."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def write(path: Path, contents: Callable[[BinaryIO], None] = text, *, replace: bool = False) -> None:
    with closing(open_destination(str(path), replace=replace)) as destination:
        destination.write(contents)


def refusal(path: Path | str) -> str:
    with pytest.raises(UsageError) as refused:
        open_destination(str(path), replace=False)
    return str(refused.value)


@pytest.mark.usefixtures("_either_way")
def test_a_file_has_its_name_once_it_is_whole(tmp_path: Path) -> None:
    seen: list[list[str]] = []

    def contents(stream: BinaryIO) -> None:
        text(stream)
        seen.append(os.listdir(tmp_path))

    path = tmp_path / "out.svg"
    write(path, contents)
    assert len(seen[0]) == 1
    assert "out.svg" not in seen[0]
    assert os.listdir(tmp_path) == ["out.svg"]
    assert path.read_bytes() == TEXT


def test_nobody_else_may_read_it_whatever_the_umask_says(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        write(tmp_path / "out")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o600


def test_the_temporary_name_is_another_one_each_time(tmp_path: Path) -> None:
    names = set()
    for number in range(3):
        with closing(open_destination(str(tmp_path / str(number)), replace=False)):
            names.update(os.listdir(tmp_path))
    assert len(names) == 3
    assert os.listdir(tmp_path) == []


@pytest.mark.usefixtures("_either_way")
@pytest.mark.parametrize("kind", ["file", "link", "dangling", "pipe"])
def test_what_appears_meanwhile_is_not_replaced(kind: str, tmp_path: Path) -> None:
    path, other = tmp_path / "out", tmp_path / "other"
    other.write_text("other")

    def plant(stream: BinaryIO) -> None:
        text(stream)
        if kind == "pipe":
            os.mkfifo(path)
        elif kind == "file":
            path.write_text("another's")
        else:
            path.symlink_to(other if kind == "link" else tmp_path / "nowhere")

    with pytest.raises(FileExistsError):
        write(path, plant)
    assert sorted(os.listdir(tmp_path)) == ["other", "out"]
    assert other.read_text() == "other"
    assert kind != "file" or path.read_text() == "another's"


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_with_force_a_link_itself_is_replaced(when: str, tmp_path: Path) -> None:
    path, other = tmp_path / "out", tmp_path / "other"
    other.write_text("other")

    def plant(stream: BinaryIO) -> None:
        text(stream)
        if when == "meanwhile":
            path.symlink_to(other)

    if when == "before":
        path.symlink_to(other)
    write(path, plant, replace=True)
    assert other.read_text() == "other"
    assert not path.is_symlink()
    assert path.read_bytes() == TEXT


@pytest.mark.parametrize("size_bytes", [0, 1, 4096, 8191, 8192, 40_000, len(TEXT) - 1])
def test_a_write_that_fails_at_any_byte_leaves_nothing(size_bytes: int, tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.write_text("of the run before")
    for path, replace in ((tmp_path / "new", False), (old, True)):
        with largest_file(size_bytes), pytest.raises(OSError, match="File too large"):
            write(path, replace=replace)
    assert os.listdir(tmp_path) == ["old"]
    assert old.read_text() == "of the run before"


def test_a_folder_that_was_removed_is_an_error(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()

    def contents(stream: BinaryIO) -> None:
        text(stream)
        for name in os.listdir(folder):
            (folder / name).unlink()
        folder.rmdir()
        folder.mkdir()

    with pytest.raises(FileNotFoundError):
        write(folder / "out", contents)
    assert os.listdir(folder) == []


def test_a_folder_in_another_ones_place_gets_nothing(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "folder", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    (elsewhere / "out").write_text("other")

    def contents(stream: BinaryIO) -> None:
        text(stream)
        folder.rename(tmp_path / "moved")
        folder.symlink_to(elsewhere)

    with pytest.raises(OSError, match="replaced meanwhile"):
        write(folder / "out", contents, replace=True)
    assert (elsewhere / "out").read_text() == "other"


def test_a_file_in_the_temporary_ones_place_is_noticed(tmp_path: Path) -> None:
    def contents(stream: BinaryIO) -> None:
        text(stream)
        (temporary,) = tmp_path.iterdir()
        temporary.unlink()
        temporary.write_text("forged")

    with pytest.raises(OSError, match="replaced meanwhile"):
        write(tmp_path / "out", contents)


def test_what_cannot_be_written_is_refused_before_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    (tmp_path / "link").symlink_to("nowhere")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        assert "--force" in refusal(tmp_path / "file")
        assert "--force" in refusal(tmp_path / "link")
        assert "does not exist" in refusal(tmp_path / "nowhere" / "out")
        assert "does not exist" in refusal(tmp_path / "file" / "out")
        assert refusal("/proc/out").startswith("cannot write /proc/out: ")
        assert "neither a file nor a pipe" in refusal(tmp_path / "socket")
        assert "neither a file nor a pipe" in refusal(tmp_path)
        assert "File name too long" in refusal(tmp_path / ("x" * 256))
        assert "names no file" in refusal("")
    assert (tmp_path / "file").read_text() == "kept"


def test_a_named_pipe_gets_all_of_it(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert "start its reader first" in refusal(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with open(reader, "rb") as heard:
        write(pipe)  # the pipe has room for all of it
        assert heard.read() == TEXT
    assert stat.S_ISFIFO(pipe.lstat().st_mode)


def test_a_pipe_without_reader_is_an_error(tmp_path: Path) -> None:
    ours, theirs = os.pipe()
    os.set_inheritable(theirs, True)
    with closing(open_destination(f"/dev/fd/{theirs}", replace=False)) as destination:
        os.close(ours)
        with pytest.raises(BrokenPipeError):
            destination.write(text)
    os.close(theirs)


def test_a_device_stays_what_it_is() -> None:
    for replace in (False, True):
        write(Path("/dev/null"), replace=replace)
    assert stat.S_ISCHR(os.lstat("/dev/null").st_mode)


def test_no_descriptor_of_ours_is_written_to(tmp_path: Path) -> None:
    with (tmp_path / "ours").open("wb") as ours:
        assert "Bad file descriptor" in refusal(f"/dev/fd/{ours.fileno()}")


def test_a_rescue_file_is_elsewhere_and_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    path = Path(rescue(text, ".svg"))
    assert path.parent == tmp_path
    assert path.suffix == ".svg"
    assert path.read_bytes() == TEXT
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_rescue_file_is_where_a_folder_takes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output_file, "_RESCUE_FOLDERS", (str(tmp_path / "nowhere"), "/proc", "~"))
    monkeypatch.delenv("TMPDIR", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Path(rescue(text, ".svg")).parent == tmp_path
    with largest_file(10), pytest.raises(OSError, match="No such file"):
        rescue(text, ".svg")
    assert len(os.listdir(tmp_path)) == 1


def test_folders_are_found_through_links_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "absolute").symlink_to(tmp_path / "a")
    (tmp_path / "a" / "up").symlink_to("..//absolute/./b")
    (tmp_path / "loop").symlink_to("loop")
    monkeypatch.chdir(tmp_path)
    for name in (
        "a/b",
        "absolute/b",
        "a/up",
        f"{tmp_path}/a/up",
        "a/b/../../a/up/",
        "/../" + str(tmp_path / "a/b"),
    ):
        fd = open_folder(name)
        assert os.path.samestat(os.fstat(fd), os.stat(name)), name
        os.close(fd)
    with pytest.raises(OSError, match="Too many levels"):
        open_folder("loop")


@pytest.mark.root
def test_another_users_link_leads_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    link = tmp_path / "link"
    link.symlink_to("a")
    os.chown(link, NOBODY, NOBODY, follow_symlinks=False)
    for path in (link / "out", link / "b" / "out"):
        assert f"a link of another user (uid {NOBODY})" in refusal(path)
    monkeypatch.setenv("SUDO_UID", str(NOBODY))
    monkeypatch.setenv("SUDO_GID", str(NOBODY))
    write(link / "b" / "out")
    assert (tmp_path / "a" / "b" / "out").read_bytes() == TEXT


@pytest.mark.root
def test_another_users_pipe_hears_nothing(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    os.chown(pipe, NOBODY, NOBODY)
    fd = os.open(pipe, os.O_RDWR)
    assert "a pipe of another user" in refusal(pipe)
    os.close(fd)


@pytest.mark.root
def test_files_belong_to_who_called_sudo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_UID", str(NOBODY))
    monkeypatch.setenv("SUDO_GID", "7")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    write(tmp_path / "out")
    for path in (tmp_path / "out", Path(rescue(text, ".svg"))):
        found = path.stat()
        assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (NOBODY, 7, 0o600)
