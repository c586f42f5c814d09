"""The file behind a mapping: found when deleted or in another mount namespace, never what was planted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from symbolizers.errors import Changed, ProcessGone
from symbolizers.process import files
from symbolizers.process.files import FileUnavailable
from symbolizers.process.identity import ProcessHandle, open_process
from symbolizers.process.maps import Mapping, read_mappings
from symbolizers.process.syscalls import cached_stat
from tests.support.process.readers import open_mapping
from tests.support.process.targets import NOBODY, Target, in_time, running, running_fuse

pytestmark = pytest.mark.root


def mapping_at(handle: ProcessHandle, start: int) -> Mapping:
    (found,) = (mapping for mapping in read_mappings(handle) if mapping.start <= start < mapping.end)
    return found


def content_of(handle: ProcessHandle, mapping: Mapping) -> bytes:
    file = open_mapping(handle, mapping)
    try:
        return os.read(file, 2)
    finally:
        os.close(file)


@pytest.fixture
def own_pages(tmp_path: Path, pages_file: Path) -> Path:
    """Copies that a test may delete and replace."""
    for name in ("pages", "pages.cold"):
        (tmp_path / name).write_bytes(pages_file.with_name(name).read_bytes())
    return tmp_path / "pages"


@pytest.fixture
def without_map_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """As without CAP_SYS_ADMIN and CAP_CHECKPOINT_RESTORE."""
    monkeypatch.setattr(files, "_find", files._find_by_name)


def test_executable_of_a_process(memory: Target) -> None:
    with open_process(memory.pid) as handle:
        program = os.stat(f"/proc/{memory.pid}/exe")
        mapping = next(found for found in read_mappings(handle) if found.inode == program.st_ino)
        file = open_mapping(handle, mapping)
        identity = cached_stat(file)
        assert os.pread(file, 4, 0) == b"\x7fELF"
        os.close(file)
    assert (identity.inode, identity.size_bytes) == (program.st_ino, program.st_size)
    assert (identity.mtime_ns, identity.ctime_ns) == (program.st_mtime_ns, program.st_ctime_ns)
    assert identity.device == (os.major(program.st_dev), os.minor(program.st_dev))


def test_deleted_file(own_pages: Path) -> None:
    with running("memory", own_pages) as target, open_process(target.pid) as handle:
        own_pages.unlink()
        mapping = mapping_at(handle, target["file_mapped"])
        assert mapping.deleted
        assert in_time(lambda: content_of(handle, mapping)) == b"\1\1"


def test_replaced_file(own_pages: Path) -> None:
    with running("memory", own_pages) as target, open_process(target.pid) as handle:
        own_pages.with_name("new").write_bytes(b"other")
        own_pages.with_name("new").rename(own_pages)
        mapping = mapping_at(handle, target["file_mapped"])
        assert in_time(lambda: content_of(handle, mapping)) == b"\1\1"


def test_other_mount_namespace(own_pages: Path) -> None:
    program = (
        'mount -t tmpfs none "$0" && cp "$1" "$0/pages" && cp "$1" "$0/pages.cold" && shift && exec "$@"'
    )
    hidden = own_pages.with_name("hidden")
    hidden.mkdir()
    unshare = ("unshare", "--mount", "--fork", "--kill-child=KILL")
    wrapper = (*unshare, "sh", "-c", program, str(hidden), str(own_pages))
    with running("memory", hidden / "pages", wrapper=wrapper) as target, open_process(target.pid) as handle:
        assert not (hidden / "pages").exists()
        mapping = mapping_at(handle, target["file_mapped"])
        assert mapping.path == str(hidden / "pages")
        assert in_time(lambda: content_of(handle, mapping)) == b"\1\1"


@pytest.mark.usefixtures("without_map_files")
class TestByName:
    """The way without map_files, which goes by names that a target can change."""

    def test_found(self, own_pages: Path) -> None:
        with running("memory", own_pages) as target, open_process(target.pid) as handle:
            mapping = mapping_at(handle, target["file_mapped"])
            assert in_time(lambda: content_of(handle, mapping)) == b"\1\1"

    def test_name_that_ends_in_deleted(self, own_pages: Path) -> None:
        odd = own_pages.with_name("pages (deleted)")
        own_pages.rename(odd)
        own_pages.with_name("pages.cold").rename(f"{odd}.cold")
        with running("memory", odd) as target, open_process(target.pid) as handle:
            mapping = mapping_at(handle, target["file_mapped"])
            assert in_time(lambda: content_of(handle, mapping)) == b"\1\1"

    def test_replaced(self, own_pages: Path) -> None:
        with running("memory", own_pages) as target, open_process(target.pid) as handle:
            mapping = mapping_at(handle, target["file_mapped"])
            own_pages.rename(own_pages.with_name("kept"))
            own_pages.write_bytes(b"planted")
            with pytest.raises(Changed):
                in_time(lambda: content_of(handle, mapping))

    @pytest.mark.parametrize("planted", ["fifo", "device", "directory", "nothing"])
    def test_planted(self, own_pages: Path, planted: str) -> None:
        with running("memory", own_pages) as target, open_process(target.pid) as handle:
            mapping = mapping_at(handle, target["file_mapped"])
            own_pages.unlink()
            if planted == "fifo":
                os.mkfifo(own_pages)
            elif planted == "device":
                os.mknod(own_pages, 0o20600, os.makedev(5, 0))
            elif planted == "directory":
                own_pages.mkdir()
            with pytest.raises(FileUnavailable):
                in_time(lambda: content_of(handle, mapping))

    def test_magic_link_is_not_followed(self, own_pages: Path) -> None:
        with running("memory", own_pages) as target, open_process(target.pid) as handle:
            mapping = mapping_at(handle, target["file_mapped"])
            own_pages.unlink()
            with open(own_pages.with_name("pages.cold"), "rb") as open_file:
                own_pages.symlink_to(f"/proc/{os.getpid()}/fd/{open_file.fileno()}")
                with pytest.raises(FileUnavailable):
                    in_time(lambda: content_of(handle, mapping))

    def test_dead_server_is_not_asked(self, tmp_path: Path) -> None:
        with running_fuse(tmp_path, "async_reads") as target, open_process(target.pid) as handle:
            mapping = mapping_at(handle, target["plain"])
            target.ask("freeze")
            with pytest.raises(FileUnavailable):
                in_time(lambda: content_of(handle, mapping))


def test_attributes_come_from_the_cache_of_a_dead_server(tmp_path: Path) -> None:
    with running_fuse(tmp_path, "async_reads") as target, open_process(target.pid) as handle:
        mapping = mapping_at(handle, target["plain"])
        target.ask("freeze")
        found = files._find(handle, mapping)
        assert in_time(lambda: cached_stat(found)).inode == mapping.inode
        os.close(found)


def test_file_under_a_lease_is_not_waited_for(own_pages: Path) -> None:
    # A write lease goes to the only opener; the mapping keeps the one open file alive.
    with running("leased", own_pages) as target, open_process(target.pid) as handle:
        mapping = mapping_at(handle, target["region"])
        with pytest.raises(FileUnavailable):
            in_time(lambda: content_of(handle, mapping))


@pytest.mark.parametrize("region", ["resident", "huge"])
def test_memory_has_no_file(memory: Target, region: str) -> None:
    with open_process(memory.pid) as handle, pytest.raises(FileUnavailable):
        open_mapping(handle, mapping_at(handle, memory[region]))


def test_unprivileged(memory: Target) -> None:
    with open_process(memory.pid) as handle:
        mapping = mapping_at(handle, memory["file_mapped"])
        with pytest.raises(FileUnavailable):
            in_time(lambda: content_of(handle, mapping), as_user=NOBODY)


def test_process_gone(pages_file: Path) -> None:
    with running("memory", pages_file) as target:
        handle = open_process(target.pid)
        mapping = mapping_at(handle, target["file_mapped"])
    with pytest.raises(ProcessGone):
        open_mapping(handle, mapping)
    handle.close()


def test_no_descriptor_is_left_open(memory: Target) -> None:
    with open_process(memory.pid) as handle:
        before = len(os.listdir("/proc/self/fd"))
        os.close(open_mapping(handle, mapping_at(handle, memory["file_mapped"])))
        with pytest.raises(FileUnavailable):
            open_mapping(handle, mapping_at(handle, memory["resident"]))
        assert len(os.listdir("/proc/self/fd")) == before
