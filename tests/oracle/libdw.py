"""Follows the copied stacks by elfutils' libdw: unwind.c, in a process of its own."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from symbolizers.native.symbols import vdso
from symbolizers.native.unnamed import VDSO_PATH
from tests.oracle.taken import Taken

_SOURCE = Path(__file__).with_name("unwind.c")
_WORDS = struct.Struct("=QQQ")
_SAMPLE = struct.Struct("=17QQ")
_ELSEWHERE = "not in the copy"


class Followed(NamedTuple):
    """What libdw makes of a stack."""

    addresses: tuple[int, ...]
    """Leaf first, as in `RawSample.user`."""
    error: str
    """Why there are no more; empty where the stack ends."""

    @property
    def lacks_stack(self) -> bool:
        """Whether what comes next is not in the copy of the stack."""
        return self.error == _ELSEWHERE


class Libdw:
    """Lifetime: the folder's, in which it builds unwind.c."""

    def __init__(self, folder: Path) -> None:
        self._program = folder / "unwind"
        command = ("gcc", "-O2", "-Wall", str(_SOURCE), "-o", str(self._program), "-ldw", "-lelf")
        subprocess.run(command, check=True)
        self._vdso = folder / "vdso.so"
        image = vdso()
        size = max(segment.offset + segment.file_size for segment in image.segments)
        self._vdso.write_bytes(image.read(0, size))

    def follow(self, samples: Sequence[Taken]) -> list[Followed]:
        """The stack of each of them."""
        order = sorted(range(len(samples)), key=lambda at: hash(samples[at].mappings))
        asked = b"".join(self._questions(samples[at] for at in order))
        done = subprocess.run([str(self._program)], input=asked, capture_output=True, check=False)
        if done.returncode or done.stderr:
            raise RuntimeError(done.stderr.decode())
        answers = [_followed(line) for line in done.stdout.decode().splitlines()]
        by_place = dict(zip(order, answers, strict=True))
        return [by_place[at] for at in range(len(samples))]

    def _questions(self, samples: Iterable[Taken]) -> Iterator[bytes]:
        last = None
        for sample in samples:
            if sample.mappings != last:
                last = sample.mappings
                # A file with code in several segments is mapped as often.
                of_files = {each.path: each for each in last if each.file is not None}.values()
                yield b"M" + struct.pack("=Q", len(of_files))
                for each in of_files:
                    path = str(self._vdso if each.path == VDSO_PATH else each.path).encode()
                    yield _WORDS.pack(each.start, each.offset, len(path)) + path
            yield b"S" + _SAMPLE.pack(*sample.registers, len(sample.stack)) + sample.stack


def _followed(line: str) -> Followed:
    """Where a signal interrupted a function, ours is the address behind the instruction's first byte.

    libdw marks that frame, and the one of the signal below it as well.
    """
    places, _, error = line.partition(";")
    shown = places.split()
    addresses = []
    for level, place in enumerate(shown):
        is_interrupted = (
            level > 0 and place.endswith("!") and not "".join(shown[level + 1 : level + 2]).endswith("!")
        )
        addresses.append(int(place.rstrip("!"), 16) + is_interrupted)
    return Followed(tuple(addresses), error)
