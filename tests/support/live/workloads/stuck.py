"""A target that a profiler could hang on: a page that its reader needs does not come.

One thread burns CPU in C, without the GIL, inside ``stuck_burner``. The main thread makes the page with
``--part`` of it go away (``--by userfault``, ``--by file``: of a FUSE mount), or holds the mmap lock, says
``ready`` and waits for the page itself. When it comes, Python goes on: the burner returns, the main thread
joins it and says the truth. What both wait in is stuck.c, as a library.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import sys
import threading
from types import FunctionType

import handshake

PAGE = 4096
BIG = 1 << 18
"""Bytes of an object that malloc gives pages of its own."""


def make_function(part: str, burn: object) -> FunctionType:
    """A function that calls `burn`, whose `part` has pages of its own."""
    padding = "        times = times + 0\n" * (BIG // 10 if part in ("code", "lines") else 1)
    scope: dict[str, object] = {"burn": burn}
    text = "def stuck_burner(times):\n    burn(*times)\n    if not times:\n"
    exec(compile(text + padding, "stuck_made.py", "exec"), scope)
    function = scope["stuck_burner"]
    assert isinstance(function, FunctionType)
    if part == "name":
        function.__code__ = function.__code__.replace(co_qualname="stuck_burner" + "r" * BIG)
    return function


class Burner(threading.Thread):
    """Runs `function` and knows where its thread state is."""

    def __init__(self, function: FunctionType, times: tuple[int, int]) -> None:
        super().__init__()
        self._function, self._times = function, times
        self.state = 0

    def run(self) -> None:
        """Burns until the library says that it is over."""
        get_state = ctypes.pythonapi.PyThreadState_Get
        get_state.restype = ctypes.c_void_p
        self.state = get_state()
        self._function(self._times)


def word(address: int) -> int:
    """The 8 bytes at `address` of our own memory."""
    return ctypes.c_uint64.from_address(address).value


def address_of(part: str, function: FunctionType, burner: Burner, offsets: dict[str, int]) -> int:
    """Where `part` of what `burner` runs begins; for its thread state, where the part that walks read begins.

    A thread state may begin in the last bytes of a page, of which a walk then needs none.
    """
    if part == "code":
        return id(function.__code__)
    if part == "name":
        return id(function.__code__.co_qualname)
    if part == "lines":
        return id(function.__code__.co_linetable)
    if part == "thread":
        return burner.state + offsets["thread_frame"]
    frame = word(burner.state + offsets["thread_frame"])
    # 3.11 and 3.12 have a structure of the C stack between the two.
    return word(frame + offsets["cframe_frame"]) if "cframe_frame" in offsets else frame


def main() -> None:
    """Burn, take the page away, wait for it, tell what happened."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--library", required=True)
    parser.add_argument("--by", choices=("userfault", "file", "lock", "nothing"), required=True)
    parser.add_argument("--part", choices=("code", "name", "lines", "thread", "frame"), default="code")
    parser.add_argument("--offsets", type=json.loads, default={}, help="the layout row, as JSON")
    parser.add_argument("--file", default="", help="a file on the FUSE mount")
    parser.add_argument("--backing", default="", help="where its content comes from")
    parser.add_argument("--times", type=int, nargs=2, default=(8000, 400_000), help="busy and idle, us")
    arguments = parser.parse_args()
    library = ctypes.CDLL(arguments.library)
    function = make_function(arguments.part, library.stuck_burn)
    burner = Burner(function, tuple(arguments.times))
    burner.start()
    library.stuck_await_burning()
    address = address_of(arguments.part, function, burner, arguments.offsets)
    page = ctypes.c_void_p(address & -PAGE)
    if arguments.by == "userfault":
        failed = library.stuck_on_userfault(page)
    elif arguments.by == "file":
        failed = library.stuck_on_file(page, arguments.file.encode(), arguments.backing.encode())
    elif arguments.by == "lock":
        failed = library.stuck_under_mmap_lock(arguments.file.encode())
    else:
        failed = library.stuck_nowhere()
    library.stuck_stop()
    burner.join()
    handshake.tell({}, handshake.process_ns(), failed=failed, name=function.__code__.co_qualname[:12])
    handshake.linger()


if __name__ == "__main__":
    sys.exit(main())
