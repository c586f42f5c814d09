"""The walk in a copy of the stack: user space finds there what the sampler finds in the thread itself."""

from __future__ import annotations

import struct
from bisect import bisect_right

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from profiler.capture.records import RawSample, StackCopy
from profiler.capture.wire import UserEnd
from profiler.run.copied_walk import CopiedWalk
from profiler.run.stacks import CodeMap, NativeAddress
from symbolizers.elf.unwind_rules import RETURN_IN_ARGUMENT, ROOT, Cfa, needs_register, of_register, packed
from symbolizers.inspection import VDSO, CodeMapping
from tests.support.samples import raw_sample
from tests.support.walkers.harness import PAGE_BYTES, Harness, Image
from tests.walkers.test_unwind import CODE, SP_8, STACK, anything, codes, image_of, places, rules, table

PAGES = 5
"""What a copy holds of a stack that begins with a page."""
MAPPED = CodeMap((CodeMapping(CODE, 1 << 47, 0, VDSO, "[vdso]"),))
in_harness = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def is_copied(rule: int) -> bool:
    """Whether the copy has all that the rule needs: not another stack, and no other register."""
    return rule & 7 != Cfa.ELSEWHERE and not (rule & 7 == Cfa.UNKNOWN and needs_register(rule))


own_stack = st.one_of(rules.filter(is_copied), st.just(ROOT), st.just(SP_8), st.just(SP_8))
tables = st.dictionaries(st.integers(0, 63).map(lambda at: 16 * at), own_stack, min_size=1, max_size=24)


def short(image: Image) -> Image:
    """With so many pages of the stack as a copy has."""
    pages = {at: page for at, page in image.pages.items() if at < STACK + PAGES * PAGE_BYTES}
    return replace(image, pages=pages)


def followed(sample: RawSample, rows: dict[int, int]) -> CopiedWalk:
    """To its end, by a table that has come meanwhile."""
    offsets, asked = sorted(rows), list[int]()

    def find_rule(place: NativeAddress) -> int:
        asked.append(place.offset)
        at = bisect_right(offsets, place.offset) - 1
        return rows[offsets[at]] if at >= 0 and place.offset < 1 << 32 else Cfa.UNKNOWN

    walk = CopiedWalk(sample, MAPPED)
    assert walk.go_on(find_rule) is None
    assert len(asked) <= 256, "one rule a frame"
    return walk


def both(harness: Harness, image: Image, rows: dict[int, int]) -> tuple[RawSample, RawSample]:
    """What the sampler gives with the table, and what is made of its copy without one."""
    there = harness.walk(image, unwound=True, table=table(rows)).sample
    lacking = harness.walk(image, unwound=True, lacks_table=True).sample
    assert lacking.lacks_table
    assert lacking.copy is not None
    return there, followed(lacking, rows).result()


@in_harness
@given(
    words=st.lists(anything, min_size=1, max_size=200),
    rows=tables,
    ip=codes,
    fp=st.one_of(places, st.just(0)),
    argument=codes,
)
def test_the_copy_leads_where_the_thread_does(
    harness: Harness, words: list[int], rows: dict[int, int], ip: int, fp: int, argument: int
) -> None:
    image = short(image_of(words, ip=ip, fp=fp, argument=argument))
    there, found = both(harness, image, rows)
    if there.user_end == UserEnd.FAULT:
        assert found.lacks_table, "what can't be read is partial, as before"
    else:
        assert (found.user, found.user_end, found.lacks_table) == (there.user, there.user_end, False)


def test_what_needs_another_register_stays_as_it_was(harness: Harness) -> None:
    image = short(image_of([CODE + 0x200], ip=CODE + 0x100, fp=0, argument=CODE))
    lacking = harness.walk(image, unwound=True, lacks_table=True).sample
    found = followed(lacking, {0x100: packed(of_register(5), 8, 0)}).result()
    assert (found.user, found.lacks_table) == (lacking.user, True)


@in_harness
@given(words=st.lists(codes, min_size=4, max_size=200), sp=places)
def test_a_copy_begins_wherever_the_stack_pointer_is(harness: Harness, words: list[int], sp: int) -> None:
    rows = {16 * at: packed(Cfa.STACK_POINTER, 8 * (1 + at % 3), 0) for at in range(64)}
    image = short(image_of(words, ip=CODE + 0x21, sp=sp))
    there, found = both(harness, image, rows)
    assert there.user_end in (UserEnd.ROOT, UserEnd.LOST), "words of 0 follow, and some lead to no code"
    assert (found.user, found.user_end) == (there.user, there.user_end)


def test_the_leafs_argument_may_be_where_it_returns_to(harness: Harness) -> None:
    rows = {0: packed(Cfa.STACK_POINTER, 0, RETURN_IN_ARGUMENT), 0x100: SP_8, 0x200: ROOT}
    _, found = both(harness, image_of([CODE + 0x210], ip=CODE + 2, argument=CODE + 0x110), rows)
    assert found.user == (CODE + 2, CODE + 0x110, CODE + 0x210)


def test_a_page_that_is_not_resident_ends_the_copy(harness: Harness) -> None:
    image = image_of([CODE] * 1600, ip=CODE)
    image = replace(
        image, pages={at: page for at, page in image.pages.items() if at < STACK + 2 * PAGE_BYTES}
    )
    sample = harness.walk(image, unwound=True, lacks_table=True).sample
    assert sample.copy is not None
    assert sample.copy.content == b"".join(image.pages.values())
    image = replace(image, pages={})
    assert harness.walk(image, unwound=True, lacks_table=True).sample.copy is None


def sample_with(
    content: bytes, *, ip: int = CODE, sp: int = STACK, fp: int = 0, frames: int = 1
) -> RawSample:
    copy = StackCopy(0, 5, ip, sp, fp, CODE, True, frames, content)

    return raw_sample(user=(ip,) * max(frames, 1), time_ns=5, lacks_table=True, copy=copy)


registers = st.one_of(anything, st.integers(0, (1 << 64) - 1))


@settings(deadline=None)
@given(
    content=st.one_of(
        st.binary(max_size=400),
        st.lists(anything, max_size=60).map(lambda words: struct.pack(f"<{len(words)}Q", *words)),
    ),
    ip=registers,
    sp=registers,
    fp=registers,
    frames=st.integers(0, 1 << 32),
    rows=st.dictionaries(st.integers(0, 63).map(lambda at: 16 * at), rules, min_size=1),
)
def test_whatever_registers_and_copy_say_the_walk_ends(
    content: bytes, ip: int, sp: int, fp: int, frames: int, rows: dict[int, int]
) -> None:
    sample = sample_with(content, ip=ip, sp=sp, fp=fp, frames=min(frames, 300))
    found = followed(sample, rows).result()
    assert len(found.user) <= max(256, len(sample.user))
    assert found.copy is None
    assert all(0 <= address < 1 << 64 for address in found.user)


def test_a_signal_frame_that_leads_to_itself_ends(harness: Harness) -> None:
    words = [0] * 64
    words[120 // 8], words[160 // 8], words[168 // 8] = 0, STACK, CODE
    there, found = both(harness, image_of(words, ip=CODE), {0: Cfa.SIGNAL})
    assert (len(found.user), found.user_end) == (256, UserEnd.DEEP)
    assert found.user == there.user


@pytest.mark.parametrize("missing", [1, 2])
def test_a_walk_goes_on_where_it_stopped(missing: int) -> None:
    """Through as many files whose tables are not there as there are."""
    code = CodeMap(
        (
            CodeMapping(0x1000, 0x2000, 0, VDSO._replace(inode=1), "/one"),
            CodeMapping(0x2000, 0x3000, 0, VDSO._replace(inode=2), "/two"),
        )
    )
    walk = CopiedWalk(sample_with(struct.pack("<3Q", 0x2010, 0x2020, 0), ip=0x1010), code)
    there: set[int] = set() if missing == 2 else {2}
    for inode in (1, 2)[:missing]:
        place = walk.go_on(lambda place: SP_8 if place.file.inode in there else None)
        assert place is not None
        assert place.file.inode == inode
        there.add(inode)
    assert walk.go_on(lambda place: SP_8) is None
    assert walk.result().user == (0x1010, 0x2010, 0x2020)
    assert walk.result().user_end == UserEnd.ROOT
