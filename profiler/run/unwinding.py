"""Which unwind tables the kernel should have: those of the files that stacks lead through.

A sample that came before a table waits for it, if there is a copy of its stack.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import islice

from profiler.capture.records import RawSample
from profiler.capture.source import SampleSource
from profiler.run.copied_walk import CopiedWalk
from profiler.run.generated_tables import GeneratedTables
from profiler.run.held import Held, HeldSamples
from profiler.run.stacks import CodeMap, NativeAddress
from symbolizers.asker import Ask
from symbolizers.frame import Frame
from symbolizers.inspection import (
    CHUNK_BYTES,
    IDENTIFIED_VDSO,
    UNKNOWN_OWNER,
    VDSO,
    FileKey,
    IdentifiedFile,
    KernelKey,
    generated_by,
    process_of,
)
from symbolizers.process.identity import ProcessId
from symbolizers.questions import (
    Failed,
    Identified,
    IdentifyFiles,
    MappedFile,
    ReadUnwinding,
    UnwindChunks,
)

_MOST_FILES = 16_384
_MOST_PRELOADED = 512
_MOST_TOGETHER = 32
"""Files in one question: to identify one takes 0.7 ms of CPU, and to ask took 16 ms on a busy machine."""
_AGAIN_S = 2.0
"""How long after the answer about a file it is asked about again, if stacks still lack its table: that made
room for others. The pause doubles each time."""


class Unwinding:
    """Asks for the table of each file, and hands it on. Lifetime: one recording."""

    def __init__(self, ask: Ask, source: SampleSource) -> None:
        self._ask = ask
        self._source = source
        self._asked: dict[FileKey, tuple[float, float]] = {}
        """By file, when it may be asked about again (CLOCK_MONOTONIC), and the pause before that.

        Not while an answer is owed: on a busy machine making a table takes longer than the pause."""
        self._looked_up: dict[FileKey, IdentifiedFile | None] = {}
        """The files of which tables were put in that earlier runs have kept; None: not identified (yet)."""
        self._likely_devices: set[tuple[int, int]] = set()
        """Devices on which `_likely_key` held for a file."""
        self._generated = GeneratedTables(ask, source, self._generated_answered)
        self._held = HeldSamples()
        self._is_over = False

    def follow(
        self, sample: RawSample, code: CodeMap, user: int, then: Callable[[RawSample], None]
    ) -> RawSample | None:
        """Asks for the tables that the native stack of `sample` lacks; gives it as far as it is known now.

        None: it waits for a table, and `then` gets it later.
        """
        pid = sample.process.pid
        if sample.copy is None:
            places = (code.find(address - (level > 0)) for level, address in enumerate(sample.user))
            self._want(places, code, pid, user)
            return sample
        return self._go_on(Held(CopiedWalk(sample, code), pid, user, then))

    def users_held(self) -> Iterable[int]:
        """The users of whom samples wait for tables."""
        return self._held.users()

    def finish(self) -> None:
        """Hands on all samples that still wait, as far as their stacks are known; no other waits any more."""
        self._is_over = True
        self._hand_on(self._held.take_all())

    def _hand_on(self, waited: Iterable[Held]) -> None:
        """Those of which no other table is lacking."""
        for held in waited:
            found = self._go_on(held)
            if found is not None:
                held.then(found)

    def _go_on(self, held: Held) -> RawSample | None:
        """As `follow`."""
        walk = held.walk
        while (place := walk.go_on(self._rule)) is not None:
            if place.file.is_generated:
                if self._awaits(held):
                    return None
                break
            self._want((place,), walk.code, held.pid, held.user)
            if self._rule(place) is None:  # otherwise an earlier run has kept it
                due_s, _ = self._asked.get(place.file, (0.0, 0.0))
                waits = due_s == math.inf and not self._is_over
                if waits and self._held.hold(place.file, held):
                    return None
                break
        return walk.result()

    def _awaits(self, held: Held) -> bool:
        """Whether it waits for the next table of the code that its process generates."""
        sample = held.walk.sample
        self._generated.lacks(sample.process, held.user)
        if self._is_over or not self._generated.awaits(sample.process, sample.time_ns):
            return False
        return self._held.hold(generated_by(sample.process, UNKNOWN_OWNER), held)

    def _generated_answered(self, process: ProcessId) -> None:
        self._hand_on(self._held.take(generated_by(process, UNKNOWN_OWNER)))

    def _rule(self, place: NativeAddress) -> int | None:
        if place.file.is_generated:
            return self._generated.find_rule(process_of(place.file), place.offset)
        identified = self._looked_up.get(place.file)
        return None if identified is None else self._source.find_rule(identified.key, place.offset)

    def _want(
        self, places: Iterable[NativeAddress | Frame | None], code: CodeMap, pid: int, uid: int
    ) -> None:
        """A stack of process `pid` leads through `places`, whose files may lack tables.

        Tables of the other files that it maps are put in, too, where earlier runs have kept them: its
        next stacks lead there.
        """
        needed: list[MappedFile] = []
        for place in places:
            if isinstance(place, NativeAddress) and not place.file.is_generated and self._may_ask(place.file):
                needed.append(MappedFile(place.file, place.path))
                self._look_up(place.file)
        unknown: list[MappedFile] = []
        for place in code.files():
            if self._look_up(place.file):
                if place.file.is_opened and place.file.device in self._likely_devices:
                    self._put_likely(place.file)
                else:
                    unknown.append(MappedFile(place.file, place.path))
        for files, makes in ((needed, True), (unknown, False)):
            for at in range(0, len(files), _MOST_TOGETHER):
                self._identify(files[at : at + _MOST_TOGETHER], pid, uid, makes=makes)

    def learn(self, file: FileKey, identified: IdentifiedFile) -> None:
        """A process maps this file: the table that an earlier run has kept is put in."""
        if self._look_up(file):
            self._looked_up[file] = identified
            self._source.has_table(identified.key, identified.owner)

    def preload(self, files: Iterable[FileKey]) -> None:
        """Running processes map these files: of some, the tables that earlier runs have kept are put in."""
        self.learn(VDSO, IDENTIFIED_VDSO)
        opened = (file for file in files if file.is_opened)
        for file in islice(dict.fromkeys(opened), _MOST_PRELOADED):
            if self._put_likely(file):
                self._likely_devices.add(file.device)

    def _put_likely(self, file: FileKey) -> bool:
        """Puts in the table that was kept under the likely key of an opened file; whether there is one."""
        key = _likely_key(file)
        is_kept = self._source.has_table(key, file.owner)
        if is_kept:
            self._looked_up[file] = IdentifiedFile(key, file.owner)
        return is_kept

    def lacks_generated(self, process: ProcessId, user: int) -> bool:
        """As `GeneratedTables.lacks`."""
        return self._generated.lacks(process, user)

    def forget(self, process: ProcessId) -> None:
        """It has exited, or runs another program now."""
        self._generated.forget(process)
        for held in self._held.take(generated_by(process, UNKNOWN_OWNER)):
            held.then(held.walk.result())

    def _look_up(self, file: FileKey) -> bool:
        """Whether nobody has looked up what was kept for `file`; from now on, that counts as done."""
        if file in self._looked_up or len(self._looked_up) >= _MOST_FILES:
            return False
        self._looked_up[file] = None
        return True

    def _may_ask(self, file: FileKey) -> bool:
        """Whether it is time to ask about `file`; then that counts as done."""
        due_s, pause_s = self._asked.get(file, (0.0, _AGAIN_S / 2))
        if time.monotonic() < due_s or (file not in self._asked and len(self._asked) >= _MOST_FILES):
            return False
        self._asked[file] = math.inf, 2 * pause_s
        return True

    def _answered(self, file: FileKey) -> None:
        """Everything that was asked about `file` has its answer."""
        if file in self._asked:
            _, pause_s = self._asked[file]
            self._asked[file] = time.monotonic() + pause_s, pause_s
        self._hand_on(self._held.take(file))

    def _identify(self, files: Sequence[MappedFile], pid: int, uid: int, *, makes: bool) -> None:
        """Asks what the kernel knows `files` by, and then for their tables, which it `makes` if need be."""
        unknown = []
        for each in files:
            known = self._looked_up.get(each.file)
            if known is None:
                unknown.append(each)
            else:
                self._put_or_read(each, known, pid, uid, makes=makes)
        if not unknown:
            return

        def identified(answer: Identified | Failed) -> None:
            if isinstance(answer, Identified):
                for each, found in zip(unknown, answer.files, strict=True):
                    if found is not None:
                        self._looked_up[each.file] = found
                        if each.file.is_opened and found.key == _likely_key(each.file):
                            self._likely_devices.add(each.file.device)
                        self._put_or_read(each, found, pid, uid, makes=makes)
                    elif makes:
                        self._answered(each.file)
            elif len(unknown) > 1:  # one of them may have cost the others their answer
                for each in unknown:
                    self._identify((each,), pid, uid, makes=makes)
            elif makes:
                self._answered(unknown[0].file)

        self._ask(IdentifyFiles(tuple(unknown), pid), identified, user=uid, soon=makes)

    def _put_or_read(
        self, file: MappedFile, found: IdentifiedFile, pid: int, uid: int, *, makes: bool
    ) -> None:
        if not self._source.has_table(found.key, found.owner) and makes:
            self._read(file, found, pid, uid, b"")
        elif makes:
            self._answered(file.file)

    def _read(self, file: MappedFile, found: IdentifiedFile, pid: int, uid: int, before: bytes) -> None:
        def read(answer: UnwindChunks | Failed) -> None:
            chunks = before
            if not isinstance(answer, Failed):
                chunks += answer.chunks
                if len(chunks) < answer.total * CHUNK_BYTES:
                    self._read(file, found, pid, uid, chunks)
                    return
                self._source.put_table(found.key, found.owner, chunks)
            self._answered(file.file)

        question = ReadUnwinding(file.file, file.path, len(before) // CHUNK_BYTES, pid)
        self._ask(question, read, user=uid, thorough=True)


def _likely_key(file: FileKey) -> KernelKey:
    """What the kernel knows it by on most file systems: the worker need not be asked, which takes 0.7 ms."""
    return KernelKey(file.device, file.inode, file.version[-1])
