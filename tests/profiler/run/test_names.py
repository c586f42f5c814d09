"""Native names at the end of a run: which files come first, and what those that others wrote may cost."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import cast

import pytest

from profiler.run import names as names_module
from profiler.run.aggregate import CountedStack
from profiler.run.names import AddressNames, Functions, Named
from profiler.run.stacks import NativeAddress
from symbolizers.asker import Asker
from symbolizers.errors import Reason
from symbolizers.frame import GENERATED, INLINED, NATIVE, Frame, Function
from symbolizers.inspection import FileKey, generated_by
from symbolizers.process.identity import ProcessId
from symbolizers.questions import Answer, Failed, NameOffsets, Names
from tests.support.samples import told_file

ROOT, USER = 0, 1000
LIBC, OTHER, HOSTILE = told_file(1), told_file(2), FileKey((8, 1), 3, (1, 2, 3), USER)
OWN, THEIRS = generated_by(ProcessId(7, 1), ROOT), generated_by(ProcessId(8, 1), USER)
OWNERS = {LIBC: ROOT, OTHER: USER, HOSTILE: USER, OWN: ROOT, THEIRS: USER}


class Answering:
    """An `Asker` that answers the oldest question when it is waited for, as `answer` says; None: never."""

    def __init__(self, answer: Callable[[NameOffsets], Answer | None]) -> None:
        self._answer = answer
        self._open: list[tuple[NameOffsets, Callable[[Answer], None]]] = []
        self.asked: list[tuple[FileKey, int]] = []
        self.sizes: list[int] = []

    def ask(
        self, question: NameOffsets, then: Callable[[Answer], None], *, user: int, thorough: bool
    ) -> None:
        self.asked.append((question.file, user))
        self.sizes.append(len(question.offsets))
        self._open.append((question, then))

    def forget(self) -> None:
        """Answers nothing that was asked before."""
        self._open.clear()

    def wait(self, longest_s: float, _also: Sequence[object] = ()) -> None:
        for question, then in self._open:
            answer = self._answer(question)
            if answer is not None:
                self._open.remove((question, then))
                then(answer)
                return
        time.sleep(longest_s)


def named(question: NameOffsets) -> Names:
    return Names(
        tuple(Function(Frame(NATIVE, f"f{offset:x}"), offset, offset + 1) for offset in question.offsets)
    )


def address(file: FileKey, offset: int) -> NativeAddress:
    return NativeAddress(file, offset, f"/lib/{file.inode}.so")


def names_by(asker: Answering) -> AddressNames:
    return AddressNames(
        cast(Asker, asker), is_trusted=lambda user: user == ROOT, owner_of=lambda file: OWNERS.get(file, USER)
    )


def resolve(
    asker: Answering, stacks: Sequence[CountedStack], names: AddressNames | None = None
) -> AddressNames:
    names = names or names_by(asker)
    frames = names.resolve(stacks, ended_s=time.monotonic(), duration_s=1.0)
    assert frames.keys() == {each for stack in stacks for each in stack.elements}
    return names


@pytest.fixture
def stacks() -> list[CountedStack]:
    return [
        CountedStack((address(OTHER, 1), address(LIBC, 1)), 2, 7, ROOT),
        CountedStack((address(LIBC, 2), address(LIBC, 3), address(LIBC, 2)), 3, 8, USER),
        CountedStack((address(HOSTILE, 4),), 9, 8, USER),
    ]


def test_trusted_files_come_first_and_of_these_the_ones_with_most_samples(stacks: list[CountedStack]) -> None:
    asker = Answering(named)
    assert resolve(asker, stacks).lacking == {}
    assert asker.asked == [(LIBC, ROOT), (OTHER, ROOT), (HOSTILE, USER)]
    assert asker.sizes == [3, 1, 1], "each address once"


def test_trusted_files_are_asked_about_before_the_end(
    stacks: list[CountedStack], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(names_module, "_EARLY_S", 0.0)
    asker = Answering(named)
    names = names_by(asker)
    for stack in stacks:
        for each in stack.elements:
            assert isinstance(each, NativeAddress)
            names.add(each, stack.pid, stack.user)
    names.ask_early()
    assert asker.asked == [(OTHER, ROOT), (LIBC, ROOT)]
    asker.wait(0.0)
    asker.forget()
    asked = len(asker.asked)
    assert resolve(asker, [*stacks, CountedStack((address(LIBC, 9),), 1, 7, ROOT)], names).lacking == {}
    assert asker.asked[asked:] == [(LIBC, ROOT), (HOSTILE, USER)]
    assert asker.sizes[asked:] == [4, 1], "what was not answered is asked again"


def test_a_file_of_others_takes_no_more_time_than_it_may(stacks: list[CountedStack]) -> None:
    asker = Answering(lambda question: None if question.file == HOSTILE else named(question))
    began_s = time.monotonic()
    names = resolve(asker, stacks)
    assert time.monotonic() - began_s < names_module._OTHERS_S + 0.1
    assert names.lacking == {address(HOSTILE, 4): Reason.OVER_BUDGET}


def test_an_address_without_a_name_says_why(stacks: list[CountedStack]) -> None:
    reasons = {LIBC: Reason.UNSUPPORTED, OTHER: Reason.STALLED, HOSTILE: Reason.OVER_BUDGET}
    names = resolve(Answering(lambda question: Failed(reasons[question.file], "why")), stacks)
    assert names.lacking == {
        address(OTHER, 1): Reason.STALLED,
        address(HOSTILE, 4): Reason.OVER_BUDGET,
    }, "what is no ELF file has no names"


def test_a_question_has_no_more_addresses_than_one_answer_has_room_for() -> None:
    asker = Answering(named)
    many = tuple(address(LIBC, number) for number in range(2 * names_module._MOST_OFFSETS + 1))
    resolve(asker, [CountedStack(many, 1, 7, ROOT)])
    assert asker.sizes == [names_module._MOST_OFFSETS, names_module._MOST_OFFSETS, 1]


def test_an_address_in_a_function_that_is_known_needs_no_question() -> None:
    functions = Functions()
    f, g = Frame(NATIVE, "f"), Frame(NATIVE, "g")

    def learn(start: int, end: int, frame: Frame) -> None:
        functions.learn(start, end, Named(generated(end - 1), frame))

    learn(0x100, 0x121, f)
    learn(0x200, 0x201, g)
    assert functions.find(0xFF) is None
    assert {functions.find(at) for at in (0x100, 0x11F, 0x120)} == {(generated(0x120), f)}
    assert functions.find(0x121) is None, "nobody knows how far it reaches"
    learn(0x100, 0x141, f)
    learn(0x100, 0x109, f)
    assert functions.find(0x13F) == (generated(0x120), f), "one address stands for all of a function"
    assert [functions.find(at) for at in (0x1FF, 0x200, 0x201)] == [None, (generated(0x200), g), None]
    learn(0x100, 0x111, Frame(NATIVE, "later"))
    assert functions.find(0x120) == (generated(0x110), Frame(NATIVE, "later")), "that code is another now"


def test_all_of_a_function_that_an_answer_tells_is_known_by_one_address() -> None:
    def answer(question: NameOffsets) -> Names:
        return Names(tuple(Function(Frame(NATIVE, "f"), 0x100, 0x180) for _ in question.offsets))

    asker = Answering(answer)
    names = names_by(asker)
    resolve(asker, [CountedStack((address(LIBC, 0x120),), 2, 7, ROOT)], names)
    known = Named(address(LIBC, 0x120), Frame(NATIVE, "f"))
    assert [names.known(address(LIBC, at)) for at in (0xFF, 0x100, 0x17F, 0x180)] == [
        None,
        known,
        known,
        None,
    ]


def generated(offset: int, process: FileKey = OWN) -> NativeAddress:
    return NativeAddress(process, offset, "")


def say(names: list[str]) -> Callable[[NameOffsets], Names]:
    """What a runtime says of its functions: at first nothing, then the `names`."""

    def answer(question: NameOffsets) -> Names:
        frame = Frame(GENERATED, names[0]) if names else Frame(NATIVE, "[jit]")
        return Names(tuple(Function(frame, offset, offset + 1) for offset in question.offsets))

    return answer


def test_what_a_runtime_says_later_about_its_code_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names_module, "_EARLY_S", 0.0)
    said: list[str] = []
    asker = Answering(say(said))
    names = names_by(asker)
    names.add(generated(0x1000), 7, ROOT)
    names.ask_early()
    asker.wait(0.0)
    assert names.known(generated(0x1000)) is None
    said.append("f")
    stacks = [CountedStack((generated(0x1000),), 1, 7, ROOT)]
    frames = names.resolve(stacks, ended_s=time.monotonic(), duration_s=1.0)
    assert frames == {generated(0x1000): Frame(GENERATED, "f")}


def test_code_about_which_no_runtime_says_anything_lacks_no_name() -> None:
    asker = Answering(say([]))
    names = names_by(asker)
    stacks = [CountedStack((generated(0x1000),), 1, 7, ROOT)]
    frames = names.resolve(stacks, ended_s=time.monotonic(), duration_s=1.0)
    assert frames == {generated(0x1000): Frame(NATIVE, "[jit]")}
    assert names.lacking == {}


def test_the_code_of_others_is_asked_about_early_in_a_part_of_the_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(names_module, "_EARLY_S", 0.0)
    now_s = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now_s[0])
    asker = Answering(say(["f"]))
    names = names_by(asker)
    for pid in range(3):
        names.add(generated(0x1000, generated_by(ProcessId(pid + 1, 1), USER)), pid + 1, USER)
    names.ask_early()
    names.ask_early()
    assert len(asker.asked) == 1, "one at a time"
    now_s[0] += 0.5
    asker.wait(0.0)
    assert names.due_s() == now_s[0] + 0.5 * names_module._OTHERS_PAUSE
    names.ask_early()
    assert len(asker.asked) == 1
    now_s[0] += 0.5 * names_module._OTHERS_PAUSE
    names.ask_early()
    assert len(asker.asked) == 2


def test_each_mapping_of_generated_code_has_a_question_of_its_own() -> None:
    """Its frames are named by it where the runtime says nothing."""
    asker = Answering(say([]))
    names = names_by(asker)
    heap = NativeAddress(OWN, 0x2000, "[heap]")
    stacks = [CountedStack((generated(0x1000), heap, generated(0x3000)), 1, 7, ROOT)]
    names.resolve(stacks, ended_s=time.monotonic(), duration_s=1.0)
    assert asker.sizes == [2, 1]


def test_inlined_functions_are_asked_for_and_where_they_cost_too_much_names_alone() -> None:
    asked: list[tuple[FileKey, bool]] = []

    def answer(question: NameOffsets) -> Names | Failed:
        asked.append((question.file, question.inlines))
        if question.inlines and question.file == OTHER:
            return Failed(Reason.STALLED, "the worker died over it")
        inlined = ((Frame(INLINED, "i", "a.c", 3),),) if question.inlines else ()
        return Names((Function(Frame(NATIVE, "f", "a.c", 2), 1, 2),), inlined)

    asker = Answering(answer)
    names = AddressNames(
        cast(Asker, asker), is_trusted=lambda user: user == ROOT, owner_of=OWNERS.__getitem__, inlines=True
    )
    resolve(asker, [CountedStack((address(LIBC, 1), address(OTHER, 1)), 2, 7, ROOT)], names)
    assert names.inlined == {address(LIBC, 1): (Frame(INLINED, "i", "a.c", 3),)}
    assert {*asked} == {(LIBC, True), (OTHER, True), (OTHER, False)}
    assert not names.lacking
    assert names.known(address(LIBC, 1)) is None, "another address of it may be of another line"


def test_code_that_was_replaced_has_the_new_name_from_then_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names_module, "_EARLY_S", 0.0)
    said = {0x1000: ("old", 0x1000), 0x2010: ("kept", 0x2000)}

    def answer(question: NameOffsets) -> Names:
        found = [(*said[offset], offset + 1) for offset in question.offsets]
        return Names(tuple(Function(Frame(GENERATED, name), start, end) for name, start, end in found))

    asker, replaced = Answering(answer), list[ProcessId]()
    names = AddressNames(
        cast(Asker, asker),
        is_trusted=lambda user: user == ROOT,
        owner_of=OWNERS.__getitem__,
        on_replaced=replaced.append,
    )
    first, second = generated(0x1000), generated(0x2010)
    names.add(first, 7, ROOT)
    names.add(second, 7, ROOT)
    names.ask_early()
    asker.wait(0.0)
    now_s = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now_s + 1)
    names.ask_early()
    asker.wait(0.0)
    assert not replaced, "nothing was"
    said[0x1000] = ("new", 0x0FF0)
    monkeypatch.setattr(time, "monotonic", lambda: now_s + 3)
    names.ask_early()
    asker.wait(0.0)
    assert replaced == [ProcessId(7, 1)]
    monkeypatch.undo()
    assert [names.known(each) for each in (first, second)] == [
        Named(Frame(GENERATED, "new"), Frame(GENERATED, "new")),
        Named(second, Frame(GENERATED, "kept")),
    ]
    earlier = [CountedStack((first, second), 1, 7, ROOT)]
    frames = names.resolve(earlier, ended_s=time.monotonic(), duration_s=1.0)
    assert frames[first] == Frame(GENERATED, "old"), "what was sampled before keeps its name"
