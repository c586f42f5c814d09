"""Root's outputs in a folder of a user who plants links there all the time: no other file is written."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from profiler.commands.outputs import Outputs
from profiler.errors import UsageError
from profiler.export.registry import format_for
from tests.live.test_outputs import check_svg, rescued
from tests.support.export_samples import profile_of
from tests.support.live.harness import PIDFLAME, SYSTEM_PYTHON, WORKLOADS
from tests.support.process.targets import NOBODY

ATTACKS = ("link_at_name", "link_for_temporary", "link_for_folder")
ROUNDS = 400
VICTIM = "belongs to root"


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder where nobody (the user) has one of their own, `theirs`, and root one that they can't enter."""
    folder = Path(tempfile.mkdtemp(prefix="pidflame-hostile-"))
    for name in ("home", "home/theirs", "roots", "rescues"):
        (folder / name).mkdir()
    for name in ("home", "home/theirs"):
        os.chown(folder / name, NOBODY, NOBODY)
    folder.chmod(0o755)
    (folder / "roots").chmod(0o700)
    (folder / "roots" / "out.svg").write_text(VICTIM)
    monkeypatch.setenv("TMPDIR", str(folder / "rescues"))
    yield folder
    shutil.rmtree(folder)


@contextmanager
def attack(name: str, place: Path) -> Iterator[None]:
    program = (WORKLOADS / "hostile_folder.py").read_text()  # its user may not come to where it lies
    with subprocess.Popen(
        [SYSTEM_PYTHON, "-c", program, name, place / "home" / "theirs", place / "roots"],
        stdout=subprocess.PIPE,
        text=True,
        user=NOBODY,
        group=NOBODY,
        extra_groups=(),
        cwd="/",
    ) as attacker:
        assert attacker.stdout is not None
        assert attacker.stdout.readline() == "ready\n"
        try:
            yield
        finally:
            attacker.kill()


def check_victim(place: Path) -> None:
    assert os.listdir(place / "roots") == ["out.svg"]
    assert (place / "roots" / "out.svg").read_text() == VICTIM


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("name", ATTACKS)
def test_no_link_leads_root_to_another_file(
    name: str, force: bool, place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Without a recording in between, so that there are many tries."""
    output = place / "home" / "theirs" / "out.svg"
    outcomes: Counter[str] = Counter()
    folder_fd = os.open(output.parent, os.O_PATH)  # we would follow their links, too
    with attack(name, place):
        for _ in range(ROUNDS):
            with suppress(FileNotFoundError):
                os.unlink(output.name, dir_fd=folder_fd)
            try:
                with closing(Outputs([(str(output), format_for("a.svg"))], None, force=force)) as outputs:
                    outcomes["written" if outputs.deliver(profile_of()) else "rescued"] += 1
            except UsageError:
                outcomes["refused"] += 1
            check_victim(place)
    os.close(folder_fd)
    assert outcomes["written"] < ROUNDS  # the attack was felt
    files = list((place / "rescues").iterdir())
    assert len(files) == outcomes["rescued"]
    for file in files:
        check_svg(file.read_text())
    assert capfd.readouterr().err.count("; the recording is in ") == outcomes["rescued"]


@pytest.mark.parametrize("name", ATTACKS)
def test_a_recording_is_written_or_rescued(name: str, place: Path) -> None:
    output = place / "home" / "theirs" / "out.svg"
    with attack(name, place):
        done = subprocess.run(
            [PIDFLAME, "record", "-d", "0.5", "--force", "-o", output],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
    check_victim(place)
    if done.returncode == 2:  # at that very moment, the folder was a link
        assert "a link of another user" in done.stderr or "does not exist" in done.stderr
    elif done.returncode == 1:
        assert rescued(done.stderr).keys() == {"out.svg"}
    else:
        assert done.returncode == 0
        assert f"wrote {output}" in done.stderr
