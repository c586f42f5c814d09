"""The code that a program has mapped, and what is known of the files that it comes from.

The kernel tells of every mapping of a program whose exec was seen, and a file holds the same wherever it is
mapped. So a program that is over before the worker could look into it has names, too.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import OrderedDict

from profiler.run.stacks import CodeMap, Levels
from symbolizers.asker import ROOT_USER
from symbolizers.base import Interpreter
from symbolizers.bounded import keep
from symbolizers.inspection import MOST_MAPPINGS, VDSO, CodeMapping, FileContents, FileKey, Inspection

_MOST_FILES = 16_384


class KnownFiles:
    """What files hold that programs map, by what the worker has said of them. Lifetime: a recording."""

    def __init__(self) -> None:
        self._contents: OrderedDict[FileKey, FileContents] = OrderedDict()
        self._hosts: set[FileKey] = set()
        self.levels = Levels()
        """Frames in them that ran lately."""

    def learn(self, contents: FileContents) -> None:
        """Takes in what the worker has said of one."""
        keep(self._contents, contents.file, contents, most=_MOST_FILES)

    def knows(self, file: FileKey) -> bool:
        """Whether the worker has said what is in it."""
        return file == VDSO or file in self._contents

    def owner(self, file: FileKey) -> int:
        """The uid of who can have written it, or `UNKNOWN_OWNER`. The kernel has written the vDSO."""
        if file == VDSO:
            return ROOT_USER
        contents = self._contents.get(file)
        return file.owner if contents is None else contents.owner

    def notes(self, mapping: CodeMapping) -> tuple[str, ...]:
        """What people should know of a process that maps it."""
        contents = self._contents_of(mapping)
        return contents.notes if contents is not None else ()

    def interpreters(self, mapping: CodeMapping, program: FileKey | None) -> tuple[Interpreter, ...]:
        """Those in a file that a process of this `program` maps, where this mapping puts them."""
        contents = self._contents_of(mapping)
        if contents is None or not contents.interpreters:
            return ()
        if program is not None and program != mapping.file:
            self._hosts.add(program)
        bias = mapping.start - mapping.offset - contents.code_distance
        return tuple(each.moved(bias) for each in contents.interpreters)

    def is_host(self, program: FileKey | None) -> bool:
        """Whether processes of this `program` map an interpreter some time after they began."""
        return program in self._hosts

    def _contents_of(self, mapping: CodeMapping) -> FileContents | None:
        return self._contents.get(mapping.file) if mapping.file is not None else None


class MappedCode:
    """The code that one program has mapped, and the interpreters in it. Lifetime: the program.

    `is_told`: the kernel has told all its mappings since its exec. Otherwise the worker has found them.
    """

    def __init__(self, files: KnownFiles, generated: FileKey | None = None) -> None:
        """`generated` as in `CodeMap`."""
        self.is_told = False
        self.interpreters: tuple[Interpreter, ...] = ()
        """One a language."""
        self._files = files
        self._generated = generated
        self._program: FileKey | None = None
        self._unknown: set[FileKey] = set()
        self._mappings: list[CodeMapping] = []
        self._map: CodeMap | None = None

    def tell(self, mapping: CodeMapping) -> None:
        """Takes in a new mapping, which replaces what was in its place."""
        self._put(mapping)
        if mapping.file is not None and not self._files.knows(mapping.file):
            self._unknown.add(mapping.file)
        self._program = self._program or mapping.file
        self._take_interpreters(mapping)

    def found(self, inspection: Inspection) -> None:
        """Takes in what the worker has found."""
        for contents in inspection.files:
            self._files.learn(contents)
        looked_at = {each.start for each in inspection.mappings if each.file is not None}
        seen = (each.file for each in self._mappings if each.start in looked_at)
        self._unknown.difference_update(file for file in seen if file is not None)
        if not self.is_told:
            self.interpreters, self._mappings, self._map = (), [], None
        # A file in another mount namespace may be known by what its descriptor says, and not as it was told.
        unknown = {each[:3] for each in self._mappings if each.file is not None and self._lacks(each.file)}
        known = self.map()
        for each in inspection.mappings:
            is_new = known.find(each.start) is None and known.find(each.end - 1) is None
            if is_new or (each.file is not None and each[:3] in unknown):
                self._put(each)
        # What a program that is being started maps next may have been told already.
        self.interpreters = inspection.interpreters + _others(self.interpreters, inspection.interpreters)

    def lacks_files(self) -> bool:
        """Whether there may be an interpreter that nobody knows of, in a file that was not looked into."""
        if not self._unknown:
            return False
        known = {file for file in self._unknown if self._files.knows(file)}
        if known:
            self._unknown -= known
            for mapping in self._mappings:
                if mapping.file in known:
                    self._take_interpreters(mapping)
        return bool(self._unknown)

    def waits_for(self, file: FileKey) -> bool:
        """Whether it maps this file, and nobody had looked into that so far."""
        return file in self._unknown

    def _lacks(self, file: FileKey) -> bool:
        return file.is_told and not self._files.knows(file)

    def is_whole(self) -> bool:
        """Whether the worker could add nothing."""
        return self.is_told and not self.lacks_files()

    def awaits_interpreter(self) -> bool:
        """Whether the program is about to map an interpreter, as others of its kind have done."""
        return self.is_told and not self.interpreters and self._files.is_host(self._program)

    def copy(self, generated: FileKey) -> MappedCode:
        """The same, for a fork, of which the kernel tells nothing. `generated` as in `CodeMap`."""
        copy = MappedCode(self._files, generated)
        copy.interpreters, copy._unknown = self.interpreters, {*self._unknown}
        copy._mappings = [*self._mappings]
        return copy

    def map(self) -> CodeMap:
        """All of it, to look addresses up in."""
        if self._map is None:
            self._map = CodeMap(self._mappings, self._generated, self._files.levels)
        return self._map

    def _take_interpreters(self, mapping: CodeMapping) -> None:
        news = self._files.interpreters(mapping, self._program)
        self.interpreters += _others(news, self.interpreters)

    def _put(self, mapping: CodeMapping) -> None:
        first = bisect_right(self._mappings, mapping.start, key=_end_of)
        behind = bisect_left(self._mappings, mapping.end, lo=first, key=_start_of)
        if len(self._mappings) - (behind - first) >= MOST_MAPPINGS:
            return
        replaced = self._mappings[first:behind]
        before = [each._replace(end=mapping.start) for each in replaced[:1] if each.start < mapping.start]
        after = [_cut(each, mapping.end) for each in replaced[-1:] if each.end > mapping.end]
        self._mappings[first:behind] = [*before, mapping, *after]
        self._map = None


def _start_of(mapping: CodeMapping) -> int:
    return mapping.start


def _end_of(mapping: CodeMapping) -> int:
    return mapping.end


def _cut(mapping: CodeMapping, start: int) -> CodeMapping:
    """The part of `mapping` from address `start` on."""
    return mapping._replace(start=start, offset=mapping.offset + start - mapping.start)


def _others(interpreters: tuple[Interpreter, ...], than: tuple[Interpreter, ...]) -> tuple[Interpreter, ...]:
    """Those of `interpreters` that are of other languages: one process has one of each."""
    languages = {each.language for each in than}
    return tuple(each for each in interpreters if each.language not in languages)
