"""Where a program's code is, by what the kernel told and the worker found."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiler.run import mappings as mappings_module
from profiler.run.mappings import KnownFiles, MappedCode
from profiler.run.stacks import NativeAddress
from symbolizers.base import Interpreter
from symbolizers.inspection import VDSO, CodeMapping, FileContents, FileKey, Inspection, generated_by
from symbolizers.process.identity import ProcessId
from tests.support.samples import told_file

PROGRAM = told_file(5)
LIBRARY = told_file(6)
INTERPRETER = Interpreter("python", "3.11.2", "3.11", 0x9000, (0x1100, 0x1200))
ANOTHER = Interpreter("ruby", "3.1.2", "3.1", 0x9000)
HOLDS_ONE = FileContents(LIBRARY, 0, 0x1000, (INTERPRETER,), ("a note",))

GENERATED = generated_by(ProcessId(8, 1), 0)


def mapping(start: int, end: int, file: FileKey | None = PROGRAM, offset: int = 0) -> CodeMapping:
    return CodeMapping(start, end, offset, file, f"/{file}")


def inspection(*mappings: CodeMapping, found: tuple[Interpreter, ...] = ()) -> Inspection:
    return Inspection(ProcessId(7, 1), mappings, found, ())


mapped = st.builds(
    lambda start, pages, file: mapping(start << 12, (start + pages) << 12, told_file(file)),
    st.integers(0, 30),
    st.integers(1, 12),
    st.integers(1, 1 << 20),
)


@given(st.lists(mapped, max_size=20))
def test_the_last_mapping_of_a_page_counts(told: list[CodeMapping]) -> None:
    code = MappedCode(KnownFiles())
    pages: dict[int, NativeAddress] = {}
    for each in told:
        code.tell(each)
        for page in range(each.start, each.end, 4096):
            assert each.file is not None
            pages[page] = NativeAddress(each.file, page - each.start + each.offset, each.path)
    for page in range(0, 50 << 12, 4096):
        assert code.map().find(page + 7) == (
            pages[page]._replace(offset=pages[page].offset + 7) if page in pages else None
        )


def test_an_interpreter_is_where_its_file_is_mapped() -> None:
    files = KnownFiles()
    files.learn(HOLDS_ONE)
    code = MappedCode(files)
    code.tell(mapping(0x40_0000, 0x50_0000))
    assert code.interpreters == ()
    code.tell(mapping(0x7000_2000, 0x7000_8000, LIBRARY, 0x2000))
    # Offset 0x2000 is at address 0x3000 of the file.
    (found,) = code.interpreters
    assert found == INTERPRETER.moved(0x7000_2000 - 0x3000)
    assert (found.root, found.loop, found.cold_loop) == (0x7000_8000, (0x7000_0100, 0x7000_0200), (0, 0))
    code.tell(mapping(0x8000_2000, 0x8000_8000, LIBRARY, 0x2000))
    assert code.interpreters == (found,)
    assert files.notes(mapping(0, 1, LIBRARY)) == ("a note",)
    assert files.notes(mapping(0, 1, None)) == ()


def test_a_file_that_nobody_could_look_into_is_what_the_worker_found_in_its_place() -> None:
    """Its name is another file's in our mount namespace."""
    opened = FileKey((0, 40), 5, (100, 1, 2))
    told = (mapping(0x40_0000, 0x50_0000), mapping(0x60_0000, 0x70_0000), mapping(0x1000, 0x2000, LIBRARY))
    files = KnownFiles()
    files.learn(HOLDS_ONE)
    code = MappedCode(files)
    code.is_told = True
    for each in told:
        code.tell(each)
    found = (
        told[0]._replace(file=opened),
        mapping(0x60_0000, 0x60_1000, opened),
        told[2]._replace(file=opened),
    )
    code.found(inspection(*found))
    at = (0x40_0010, 0x60_0010, 0x1010)
    places = [code.map().find(address) for address in at]
    assert [place.file for place in places if isinstance(place, NativeAddress)] == [opened, PROGRAM, LIBRARY]


def test_what_is_learnt_of_a_file_later_counts_for_those_who_have_it_mapped() -> None:
    files = KnownFiles()
    code = MappedCode(files)
    code.is_told = True
    for each in (mapping(0x40_0000, 0x50_0000), mapping(0x7000_2000, 0x7000_8000, LIBRARY, 0x2000)):
        code.tell(each)
    code.tell(mapping(0x1000, 0x2000, VDSO))
    assert code.lacks_files()
    assert not code.is_whole()
    files.learn(HOLDS_ONE)
    assert code.lacks_files()
    files.learn(FileContents(PROGRAM, 0, 0, (), ()))
    assert code.is_whole()
    assert [each.language for each in code.interpreters] == ["python"]


def test_programs_that_map_their_interpreter_later_are_known_by_their_file() -> None:
    files = KnownFiles()
    files.learn(HOLDS_ONE)
    for is_second in (False, True):
        code = MappedCode(files)
        code.is_told = True
        code.tell(mapping(0x40_0000, 0x50_0000))
        assert code.awaits_interpreter() is is_second
        code.tell(mapping(0x7000_0000, 0x7000_8000, LIBRARY))
        assert not code.awaits_interpreter()
    itself = MappedCode(files)
    itself.is_told = True
    itself.tell(mapping(0x7000_0000, 0x7000_8000, LIBRARY))
    assert itself.interpreters
    assert not files.is_host(LIBRARY)


def test_what_the_worker_finds_replaces_what_was_not_told() -> None:
    code = MappedCode(KnownFiles())
    code.found(inspection(mapping(0x1000, 0x2000), found=(INTERPRETER,)))
    code.found(inspection(mapping(0x5000, 0x6000), found=(ANOTHER,)))
    assert code.map().find(0x1000) is None
    assert code.map().find(0x5000) is not None
    assert code.interpreters == (ANOTHER,)


def test_what_the_worker_finds_completes_what_was_told() -> None:
    """It may have looked before the last of it was mapped."""
    files = KnownFiles()
    files.learn(HOLDS_ONE)
    code = MappedCode(files)
    code.is_told = True
    code.tell(mapping(0x7000_0000, 0x7000_8000, LIBRARY))
    code.found(inspection(mapping(0x1000, 0x2000, VDSO), mapping(0x7000_7000, 0x7000_9000), found=(ANOTHER,)))
    assert code.map().find(0x1010) == NativeAddress(VDSO, 0x10, f"/{VDSO}")
    assert code.map().find(0x7000_7000) == NativeAddress(LIBRARY, 0x7000, f"/{LIBRARY}")
    assert [each.language for each in code.interpreters] == ["ruby", "python"]


def test_a_fork_has_its_own() -> None:
    code = MappedCode(KnownFiles())
    code.is_told = True
    code.tell(mapping(0x1000, 0x2000))
    copy = code.copy(GENERATED)
    code.tell(mapping(0x3000, 0x4000))
    assert copy.map().find(0x1000) is not None
    assert copy.map().find(0x3000) is None
    assert not copy.is_told
    assert copy.lacks_files()


def test_the_mappings_of_one_program_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mappings_module, "MOST_MAPPINGS", 3)
    code = MappedCode(KnownFiles())
    for number in range(1, 10):
        code.tell(mapping(number << 12, (number + 1) << 12))
    assert [number for number in range(12) if code.map().find(number << 12)] == [1, 2, 3]
    monkeypatch.setattr(mappings_module, "_MOST_FILES", 1)
    files = KnownFiles()
    for file in (PROGRAM, LIBRARY):
        files.learn(FileContents(file, 0, 0, (), ()))
    assert (files.knows(PROGRAM), files.knows(LIBRARY)) == (False, True)
