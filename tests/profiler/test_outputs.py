"""All outputs of a recording: each is tried, each is whole or kept elsewhere, and stderr says where."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import BinaryIO

import pytest

from profiler.commands import outputs as module
from profiler.commands.outputs import Outputs
from profiler.commands.talk import Volume
from profiler.errors import UsageError
from profiler.export.registry import Format, format_for
from profiler.export.stats import to_json
from profiler.profile.model import Profile, Root, Sample
from symbolizers.frame import NATIVE, Frame
from tests.support.export_samples import profile_of

PROFILE = profile_of(
    *(Sample(Root(b"work", 7), (Frame(NATIVE, f"function_{n}", "lib.so", 0),), n) for n in range(1, 150))
)
SVG, FOLDED = format_for("a.svg"), format_for("a.folded")
RESCUED = re.compile(r"cannot write (\S+): (.+); (?:the recording is|its contents are) in (\S+)")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Full(io.RawIOBase):
    """A stream that passes `room_bytes` on, and then finds the disk full."""

    def __init__(self, stream: BinaryIO, room_bytes: int) -> None:
        self._stream = stream
        self._room_bytes = room_bytes

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:
        self._room_bytes -= len(data)
        if self._room_bytes < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self._stream.write(data)


class Failing:
    """A format whose first `count` writes fail in the middle; it says when a write succeeded."""

    def __init__(self, error: Exception, count: int) -> None:
        self._error = error
        self._left = count

    def write(self, profile: Profile, stream: BinaryIO) -> None:
        stream.write(b"half of it")
        self._left -= 1
        if self._left >= 0:
            raise self._error
        stream.write(b" and the rest")


@pytest.fixture(autouse=True)
def rescues(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where rescue files go."""
    folder = tmp_path_factory.mktemp("rescues")
    monkeypatch.setenv("TMPDIR", str(folder))
    for name in ("SUDO_UID", "SUDO_GID"):
        monkeypatch.delenv(name, raising=False)
    return folder


def expected(format_: Format) -> bytes:
    stream = io.BytesIO()
    format_.write(PROFILE, stream)
    return stream.getvalue()


def deliver(*files: tuple[Path | str, Format], stats: Path | None = None, force: bool = False) -> bool:
    named = [(str(path), format_) for path, format_ in files]
    with closing(Outputs(named, str(stats) if stats else None, force=force)) as outputs:
        return outputs.deliver(PROFILE)


def rescued(said: str) -> dict[str, tuple[str, Path]]:
    """By output: why it was not written, and the file that has it."""
    return {path: (reason, Path(file)) for path, reason, file in RESCUED.findall(said)}


def test_all_are_written_and_said(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    svg, folded, stats = (tmp_path / name for name in ("out.svg", "out.folded", "stats.json"))
    assert deliver((svg, SVG), (folded, FOLDED), ("-", FOLDED), stats=stats)
    captured = capfd.readouterr()
    assert svg.read_bytes() == expected(SVG)
    assert folded.read_bytes() == captured.out.encode() == expected(FOLDED)
    assert json.loads(stats.read_text()) == json.loads(to_json(PROFILE))
    findings, *said = captured.err.splitlines()
    assert findings.startswith("hottest functions")
    assert said[:3] == [
        "    1.3 %  function_149 (lib.so)  work (7)",
        "    1.3 %  function_148 (lib.so)  work (7)",
        "    1.3 %  function_147 (lib.so)  work (7)",
    ]
    assert said[3:6] == [
        f"wrote {svg} (open it in a browser)",
        f"wrote {folded}",
        f"wrote {stats}",
    ]
    assert captured.err.endswith(" lost\n")
    assert sorted(os.listdir(tmp_path)) == ["out.folded", "out.svg", "stats.json"]


def test_a_quiet_command_says_what_it_wrote_and_no_more(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("profiler.commands.talk._Voice.volume", Volume.QUIET)
    assert deliver((tmp_path / "out.svg", SVG), stats=tmp_path / "stats.json")
    lines = capfd.readouterr().err.splitlines()
    assert [line.split(" ")[:2] for line in lines] == [
        ["wrote", str(tmp_path / name)] for name in ("out.svg", "stats.json")
    ]


def test_names_that_nobody_asked_for_never_collide(
    tmp_path: Path, rescues: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Two runs of one second, the second with --force: each file has a name of its own."""
    files = [(str(tmp_path / name), FOLDED) for name in ("run.folded", "run.svg")]
    with (
        closing(Outputs(files, None, force=False, numbered=True)) as first,
        closing(Outputs(files, str(tmp_path / "s.json"), force=True, numbered=True)) as second,
    ):
        assert first.deliver(PROFILE)
        assert second.deliver(PROFILE)
    assert sorted(os.listdir(tmp_path)) == ["run-2.folded", "run-2.svg", "run.folded", "run.svg", "s.json"]
    assert f"wrote {tmp_path}/run-2.svg\n" in capfd.readouterr().err
    (tmp_path / "run.pipe").symlink_to("/dev/null")
    os.mkfifo(tmp_path / "run-2.pipe")
    with closing(Outputs([(str(tmp_path / "run.pipe"), FOLDED)], None, force=True, numbered=True)) as third:
        assert third.deliver(PROFILE)
    assert (tmp_path / "run-3.pipe").read_bytes() == expected(FOLDED)
    assert os.listdir(rescues) == []


def test_nothing_is_left_if_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "there.svg").write_text("kept")
    with pytest.raises(UsageError):
        Outputs([(str(tmp_path / "new.svg"), SVG), (str(tmp_path / "there.svg"), SVG)], None, force=False)
    assert os.listdir(tmp_path) == ["there.svg"]


def test_nothing_is_left_if_nothing_was_recorded(tmp_path: Path) -> None:
    with closing(
        Outputs([(str(tmp_path / "out.svg"), SVG)], str(tmp_path / "s.json"), force=False)
    ) as outputs:
        assert len(outputs.unwritten()) == 2
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("force", [False, True])
def test_two_outputs_are_not_one_file(force: bool, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    twins = [(str(tmp_path / "out"), SVG), (str(tmp_path / "link" / "out"), FOLDED)]
    with pytest.raises(UsageError, match="given twice"):
        Outputs(twins, None, force=force)
    with pytest.raises(UsageError, match="given twice"):
        Outputs(twins[:1], twins[1][0], force=force)
    assert os.listdir(tmp_path) == ["link"]
    assert deliver(("/dev/null", SVG), ("/dev/null", FOLDED), force=force)


@pytest.mark.parametrize("room_bytes", [0, 1, 100, 4096, 10_000, len(expected(SVG)) - 1])
def test_a_full_disk_costs_no_output(
    room_bytes: int, tmp_path: Path, rescues: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    room = [room_bytes]  # only the first file finds the disk full

    def write(profile: Profile, stream: BinaryIO) -> None:
        if not room:
            SVG.write(profile, stream)
            return
        with io.BufferedWriter(Full(stream, room.pop())) as full:
            SVG.write(profile, full)

    out, after = tmp_path / "out.svg", tmp_path / "after.folded"
    assert not deliver((out, Format("svg", (".svg",), write)), (after, FOLDED))
    reason, file = rescued(capfd.readouterr().err)[str(out)]
    assert reason == "No space left on device"
    assert file.parent == rescues
    assert file.read_bytes() == expected(SVG)
    assert os.listdir(tmp_path) == ["after.folded"]
    assert after.read_bytes() == expected(FOLDED)


@contextmanager
def tiny_disk(folder: Path, size_bytes: int) -> Iterator[None]:
    """A tmpfs of whole pages."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "none", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.mark.root
@pytest.mark.parametrize("force", [False, True])
def test_a_disk_that_is_full_after_any_page(
    force: bool, tmp_path: Path, rescues: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    size = len(expected(SVG))
    pages = -(-size // PAGE_BYTES)
    old_pages = 1 if force else 0
    for room in range(1, pages + 2):
        with tiny_disk(tmp_path, (room + old_pages) * PAGE_BYTES):
            out = tmp_path / "out.svg"
            if force:
                out.write_text("of the run before")
            fits = room >= pages
            assert deliver((out, SVG), force=force) == fits, room
            said = capfd.readouterr().err
            if fits:
                assert out.read_bytes() == expected(SVG)
                continue
            reason, file = rescued(said)[str(out)]
            assert reason == "No space left on device"
            assert file.read_bytes() == expected(SVG)
            assert os.listdir(tmp_path) == (["out.svg"] if force else [])
            assert not force or out.read_text() == "of the run before"
    assert len(os.listdir(rescues)) == pages - 1


def test_what_takes_the_name_meanwhile_stays(
    tmp_path: Path, rescues: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out, stats = tmp_path / "out.svg", tmp_path / "stats.json"
    with closing(Outputs([(str(out), SVG)], str(stats), force=False)) as outputs:
        out.write_text("another's")
        stats.symlink_to(out)
        assert not outputs.deliver(PROFILE)
    found = rescued(capfd.readouterr().err)
    assert {path: reason for path, (reason, _) in found.items()} == dict.fromkeys(
        map(str, (out, stats)), "File exists"
    )
    assert found[str(out)][1].read_bytes() == expected(SVG)
    assert json.loads(found[str(stats)][1].read_text()) == json.loads(to_json(PROFILE))
    assert out.read_text() == "another's"
    assert sorted(os.listdir(tmp_path)) == ["out.svg", "stats.json"]


def test_a_reader_that_is_gone_costs_no_output(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    ours, theirs = os.pipe()
    os.set_inheritable(theirs, True)
    out, pipe = tmp_path / "out.svg", f"/dev/fd/{theirs}"
    with closing(Outputs([(pipe, FOLDED), (str(out), SVG)], None, force=False)) as outputs:
        os.close(ours)
        assert not outputs.deliver(PROFILE)
    os.close(theirs)
    reason, file = rescued(capfd.readouterr().err)[pipe]
    assert reason == "Broken pipe"
    assert file.read_bytes() == expected(FOLDED)
    assert out.read_bytes() == expected(SVG)


def test_an_exporter_that_fails_costs_no_output(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Nor the recording: it is kept as folded stacks, and the traceback is said once."""
    broken = Format("svg", (".svg",), Failing(ZeroDivisionError("one"), 2).write)
    assert not deliver((tmp_path / "a.svg", broken), (tmp_path / "b.folded", FOLDED))
    said = capfd.readouterr().err
    reason, file = rescued(said)[str(tmp_path / "a.svg")]
    assert reason == "ZeroDivisionError: one"
    assert said.count("Traceback") == 1
    assert file.suffix == ".folded"
    assert file.read_bytes() == expected(FOLDED)
    assert os.listdir(tmp_path) == ["b.folded"]


def test_figures_that_fail_cost_no_output(
    tmp_path: Path, rescues: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_STATS", Format("stats", (".json",), Failing(ValueError("two"), 2).write))
    assert not deliver((tmp_path / "a.svg", SVG), stats=tmp_path / "stats.json")
    assert "stats.json: ValueError: two; its contents are lost" in capfd.readouterr().err
    assert (os.listdir(tmp_path), os.listdir(rescues)) == (["a.svg"], [])


def test_it_says_so_if_no_folder_takes_it(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", "/nowhere")
    monkeypatch.setattr("profiler.commands.output_file._RESCUE_FOLDERS", ("/proc",))
    with closing(Outputs([(str(tmp_path / "out"), SVG)], None, force=False)) as outputs:
        (tmp_path / "out").touch()
        assert not outputs.deliver(PROFILE)
    said = capfd.readouterr().err
    assert "File exists; the recording is lost, since no other folder takes a file: No such file" in said


def test_a_stderr_that_nobody_hears_costs_no_output(tmp_path: Path) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    stderr = os.dup(2)
    os.dup2(theirs, 2)
    try:
        delivered = deliver((tmp_path / "out.svg", SVG))
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(theirs)
    assert delivered
    assert (tmp_path / "out.svg").read_bytes() == expected(SVG)
