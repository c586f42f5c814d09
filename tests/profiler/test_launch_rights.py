"""What the command may do: nothing that only the profiler may, and type nothing into root's shell."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.elf_programs import build
from tests.support.live.harness import read_terminal
from tests.support.process.targets import NOBODY, ROOT

pytestmark = pytest.mark.root

PATIENCE_S = 30.0
LAUNCH = """
import signal, sys
from profiler.launch import Launched
launched = Launched(sys.argv[1:])
signal.signal(signal.SIGINT, lambda *_: None)  # as a recording does
launched.release()
sys.exit(launched.exit_code())
"""
TYPE = "import fcntl; fcntl.ioctl(0, 0x5412, b'x'); print('typed')"
TYPE_AS_32_BITS = r"""
#include <stdio.h>
#include <sys/mman.h>

int main(void) {
    char *letter = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    long result;
    *letter = 'x';
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(54), "b"(0), "c"(0x5412), "d"(letter) : "memory");
    puts(result == 0 ? "typed" : "refused");
    return 0;
}
"""
"""TIOCSTI by the system call of 32-bit programs."""


class Terminal:
    """A session on a terminal of its own, led by a process that launches `command` as a profiler does."""

    def __init__(self, *command: str, sudo: bool, wrapper: tuple[str, ...] = ()) -> None:
        self.said = ""
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:
            names = {"SUDO_UID": str(NOBODY), "SUDO_GID": str(NOBODY)} if sudo else {}
            kept = {name: value for name, value in os.environ.items() if not name.startswith("SUDO_")}
            os.chdir(ROOT)
            launch = [*wrapper, sys.executable, "-c", LAUNCH, *command]
            os.execvpe(launch[0], launch, {**kept, **names})

    def type(self, text: str) -> None:
        os.write(self._terminal, text.encode())

    def until(self, text: str) -> None:
        end_s = time.monotonic() + PATIENCE_S
        while text not in self.said:
            assert self._hear(end_s - time.monotonic()), self.said

    def end(self) -> int:
        """The exit code, once it has ended."""
        while self._hear(PATIENCE_S):
            pass
        os.close(self._terminal)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def _hear(self, longest_s: float) -> bool:
        assert select.select([self._terminal], [], [], max(0.0, longest_s))[0], self.said
        heard = read_terminal(self._terminal)
        self.said += heard
        return bool(heard)


@pytest.mark.parametrize("wrapper", [(), ("setpriv", "--bounding-set=-sys_admin")], ids=["root", "container"])
def test_under_sudo_the_command_types_nothing_into_roots_terminal(wrapper: tuple[str, ...]) -> None:
    terminal = Terminal("/usr/bin/python3", "-c", TYPE, sudo=True, wrapper=wrapper)
    assert terminal.end() == 1
    assert "Operation not permitted" in terminal.said
    assert "typed" not in terminal.said


def test_nor_does_it_by_the_calls_of_32_bit_programs(tmp_path: Path) -> None:
    program = build(tmp_path, "type", source=TYPE_AS_32_BITS)
    for folder in (tmp_path, *tmp_path.parents):
        if folder.name.startswith(("pytest-", "popen-", "test_")):
            folder.chmod(0o755)
    terminal = Terminal(str(program), sudo=True)
    assert terminal.end() == 0
    assert terminal.said == "refused\r\n"


def test_what_root_runs_as_root_is_as_it_was() -> None:
    terminal = Terminal("/usr/bin/python3", "-c", TYPE, sudo=False)
    terminal.end()
    assert "Operation not permitted" not in terminal.said


@pytest.mark.parametrize("sudo", [False, True])
def test_ctrl_c_reaches_the_command(sudo: bool) -> None:
    terminal = Terminal("/bin/sh", "-c", "echo ready; exec sleep 600", sudo=sudo)
    terminal.until("ready")
    terminal.type("\x03")
    assert terminal.end() == 128 + signal.SIGINT


@pytest.mark.parametrize("sudo", [False, True])
def test_an_interactive_program_works(sudo: bool) -> None:
    """It is on the session's terminal, asks for lines there, and a shell in it controls jobs."""
    terminal = Terminal("/bin/bash", "--norc", "-i", sudo=sudo)
    terminal.type("sleep 600\n")
    time.sleep(0.3)
    terminal.type("\x03")
    terminal.type("echo $((6 * 7)) > /dev/tty; jobs; exit 3\n")
    terminal.until("42")
    assert terminal.end() == 3
    assert "no job control" not in terminal.said


def test_the_command_of_a_user_with_a_profilers_capabilities_has_none() -> None:
    names = ",".join(f"+{name}" for name in ("sys_ptrace", "dac_read_search", "bpf"))
    user = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
    launch = (sys.executable, "-c", LAUNCH, "/bin/grep", "-E", "Cap(Inh|Prm|Eff|Amb)", "/proc/self/status")
    command = (*user, f"--inh-caps={names}", f"--ambient-caps={names}", *launch)
    shown = subprocess.check_output(command, cwd=ROOT, text=True).splitlines()
    assert [line.split() for line in shown] == [
        [f"Cap{name}:", "0" * 16] for name in ("Inh", "Prm", "Eff", "Amb")
    ]
