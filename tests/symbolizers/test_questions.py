"""Questions and answers come through as they are, and whatever else comes through is refused."""

from __future__ import annotations

import json
from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from symbolizers.base import Interpreter, TaskChain
from symbolizers.errors import Reason
from symbolizers.frame import INLINED, CodeObject, Frame, Function, RawFrame
from symbolizers.inspection import (
    CHUNK_BYTES,
    VDSO,
    CodeMapping,
    FileContents,
    IdentifiedFile,
    Inspection,
    KernelKey,
    Unsupported,
)
from symbolizers.process.description import Description
from symbolizers.process.identity import ProcessId
from symbolizers.process.sandbox import Part
from symbolizers.questions import (
    Answer,
    AnyQuestion,
    Awaiters,
    Codes,
    Describe,
    Described,
    Failed,
    Forget,
    Forgotten,
    GeneratedChunks,
    Identified,
    IdentifyFiles,
    Inspect,
    Inspected,
    LookedInto,
    LookInto,
    MappedFile,
    NamedThread,
    NameOffsets,
    Names,
    NotUnderstood,
    ReadAwaiters,
    ReadCodes,
    ReadGenerated,
    ReadSandbox,
    ReadThreads,
    ReadUnwinding,
    Sandboxed,
    ThreadNames,
    UnwindChunks,
    WantedThread,
    decode_answer,
    decode_question,
    encode,
)
from tests.support.samples import told_file

PROCESS = ProcessId(7, 100)
KERNEL_KEY = KernelKey((8, 1), 5, 6)
VDSO_FILE = MappedFile(VDSO, "[vdso]")
NATIVE_FRAME = Frame("native", "f\ud800;\n", "libc.so.6")
INLINED_FRAME = Frame(INLINED, "i", "a.h", 7)
FRAME = Frame("python", "f\ud800;\n", "/tmp/\udcff.py", 3)
INTERPRETER = Interpreter("python", "3.11.2", "3.11", (1 << 64) - 1, (1, 2), (3, 4), (("a", 5),), "a note")
INSPECTION = Inspection(
    PROCESS,
    (CodeMapping(1, 2, 0, told_file(5), "/bin/\udcff"), CodeMapping(3, 4, 0, None, "")),
    (INTERPRETER,),
    ("note",),
    (Unsupported("Ruby", "1.8", "2.5 to 4.0"),),
    (FileContents(told_file(5), 0, 1 << 20, (INTERPRETER,), ()),),
)

CONVERSATIONS: list[tuple[AnyQuestion, Answer]] = [
    (Inspect(7), Inspected(INSPECTION)),
    (Inspect(7, 100), Failed(Reason.EXITED, "gone \ud800")),
    (
        ReadCodes(PROCESS, (RawFrame((1 << 64) - 1, 1, 2, 3), RawFrame(4, 5, 6), RawFrame(7, 8, 9))),
        Codes((CodeObject("ruby", "f", "a.rb", 1, (0, 2), (1, 2), True), Reason.CHANGED)),
    ),
    (ReadThreads(PROCESS, (WantedThread(8, 1 << 47),)), ThreadNames((NamedThread(8, "pool \ud800"),))),
    (
        Describe(PROCESS, (1 << 64) - 1),
        Described(Description("/bin/\udcff", ("sh", "", "\ud800;\n"), "web/3f2a91c0d5e1")),
    ),
    (
        ReadAwaiters(PROCESS, 1 << 47, (1 << 64) - 1),
        Awaiters(TaskChain(FRAME, ((FRAME, 0), (FRAME, 3)))),
    ),
    (
        LookInto(told_file(5), "/bin/\udcff", 7, 1),
        LookedInto(FileContents(told_file(5), 0, 1 << 20, (INTERPRETER,), ("note",)), KERNEL_KEY),
    ),
    (
        NameOffsets(VDSO, "[vdso]", (0, 1), 7),
        Names((Function(NATIVE_FRAME, 0, 9), Function(NATIVE_FRAME, 1, 9)), build_id="0f1e"),
    ),
    (
        NameOffsets(VDSO, "[vdso]", (1,), 7, inlines=True),
        Names((Function(NATIVE_FRAME, 0, 9),), ((INLINED_FRAME,),)),
    ),
    (IdentifyFiles((VDSO_FILE, VDSO_FILE), 7), Identified((IdentifiedFile(KERNEL_KEY, 1000), None))),
    (ReadUnwinding(VDSO, "[vdso]", 1, 7), UnwindChunks(3, bytes(2 * CHUNK_BYTES))),
    (ReadUnwinding(VDSO, "[vdso]", 0), UnwindChunks(0, b"")),
    (ReadGenerated(PROCESS, 1), GeneratedChunks(1 << 40, 0.5, 3, bytes(2 * CHUNK_BYTES))),
    (Forget(PROCESS), Forgotten()),
    (ReadSandbox(), Sandboxed((Part("network", ""), Part("seccomp", "Invalid argument")))),
]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda values: st.lists(values, max_size=4) | st.dictionaries(st.text(), values, max_size=4),
    max_leaves=20,
)


@pytest.mark.parametrize(("question", "answer"), CONVERSATIONS, ids=lambda value: type(value).__name__)
def test_what_is_asked_and_answered_comes_through(question: AnyQuestion, answer: Answer) -> None:
    assert decode_question(encode(question)) == question
    assert decode_answer(encode(answer), question) == answer


def test_every_question_and_every_answer_is_tried_above() -> None:
    assert {type(question) for question, _ in CONVERSATIONS} == set(get_args(AnyQuestion))
    assert {type(answer) for _, answer in CONVERSATIONS} == set(get_args(Answer))


@pytest.mark.parametrize("message", [*get_args(AnyQuestion), *get_args(Answer)])
def test_messages_are_frozen(message: type[msgspec.Struct]) -> None:
    assert message.__struct_config__.frozen


LIES: list[tuple[AnyQuestion, Answer]] = [
    (Inspect(8), Inspected(INSPECTION)),
    (Inspect(7, 99), Inspected(INSPECTION)),
    (Inspect(7), Inspected(replace(INSPECTION, process=ProcessId(7, 1 << 64)))),
    (Inspect(7), Inspected(replace(INSPECTION, process=ProcessId(7, -1)))),
    (Inspect(7), Inspected(replace(INSPECTION, interpreters=(replace(INTERPRETER, language="cobol"),)))),
    (Inspect(7), Inspected(replace(INSPECTION, interpreters=(replace(INTERPRETER, root=1 << 64),)))),
    (Inspect(7), Inspected(replace(INSPECTION, interpreters=(replace(INTERPRETER, loop=(-1, 5)),)))),
    (ReadCodes(PROCESS, (RawFrame(1, 1, 2, 3),)), Codes(())),
    (ReadCodes(PROCESS, (RawFrame(1, 1, 2, 3),)), Codes((Reason.CHANGED, Reason.CHANGED))),
    (ReadCodes(PROCESS, (RawFrame(1, 1, 2, 3),)), Codes((CodeObject("x onload=alert(1)", "f", "", 1),))),
    (ReadThreads(PROCESS, (WantedThread(8, 1 << 47),)), ThreadNames((NamedThread(9, "pool"),))),
    (ReadAwaiters(PROCESS, 1, 2), Awaiters(TaskChain(Frame("<", "f"), ()))),
    (LookInto(told_file(5), "/bin/sh"), LookedInto(FileContents(told_file(6), 0, 0, (), ()), KERNEL_KEY)),
    (
        LookInto(told_file(5), "/bin/sh"),
        LookedInto(FileContents(told_file(5), 0, 0, (), ()), KernelKey((0, 0), 1 << 64, 6)),
    ),
    (NameOffsets(VDSO, "[vdso]", (0, 1)), Names((Function(NATIVE_FRAME, 0, 9),))),
    (ReadUnwinding(VDSO, "[vdso]", 0), UnwindChunks(3, bytes(CHUNK_BYTES + 1))),
    (ReadUnwinding(VDSO, "[vdso]", 0), UnwindChunks(1 << 20, bytes(CHUNK_BYTES))),
    (ReadUnwinding(VDSO, "[vdso]", 2), UnwindChunks(3, bytes(2 * CHUNK_BYTES))),
    (ReadUnwinding(VDSO, "[vdso]", 0), UnwindChunks(3, b"")),
    (ReadGenerated(PROCESS, 0), GeneratedChunks(1 << 40, 0.5, 3, b"")),
    (ReadGenerated(PROCESS, 0), GeneratedChunks(0, 0.5, 1, bytes(CHUNK_BYTES))),
    (ReadGenerated(PROCESS, 0), GeneratedChunks(1 << 64, 0.5, 1, bytes(CHUNK_BYTES))),
    (ReadGenerated(PROCESS, 0), GeneratedChunks(1 << 40, -0.5, 1, bytes(CHUNK_BYTES))),
    (ReadGenerated(PROCESS, 0), GeneratedChunks(1 << 40, 1e300, 1, bytes(CHUNK_BYTES))),
    (IdentifyFiles((VDSO_FILE,), 7), Identified(())),
    (IdentifyFiles((VDSO_FILE,), 7), Identified((IdentifiedFile(KernelKey((1 << 12, 0), 5, 6), 0),))),
    (IdentifyFiles((VDSO_FILE,), 7), Identified((IdentifiedFile(KernelKey((0, 0), -1, 6), 0),))),
    (NameOffsets(VDSO, "[vdso]", (0,)), Names((Function(FRAME, 0, 9),))),
    (NameOffsets(VDSO, "[vdso]", (5,)), Names((Function(NATIVE_FRAME, 6, 9),))),
    (NameOffsets(VDSO, "[vdso]", (5,)), Names((Function(NATIVE_FRAME, 5, 5),))),
    (NameOffsets(VDSO, "[vdso]", (5,)), Names(())),
    (NameOffsets(VDSO, "[vdso]", (5,)), Names((Function(NATIVE_FRAME, 5, 9),), ((INLINED_FRAME,),))),
    (NameOffsets(VDSO, "[vdso]", (5,), inlines=True), Names((Function(NATIVE_FRAME, 5, 9),), ((), ()))),
    (
        NameOffsets(VDSO, "[vdso]", (5,), inlines=True),
        Names((Function(NATIVE_FRAME, 5, 9),), ((NATIVE_FRAME,),)),
    ),
    (NameOffsets(VDSO, "[vdso]", ()), Names((), build_id="0F")),
    (NameOffsets(VDSO, "[vdso]", ()), Names((), build_id="0" * 129)),
]


@pytest.mark.parametrize(("question", "answer"), LIES, ids=lambda value: type(value).__name__)
def test_an_answer_that_does_not_fit_its_question_is_refused(question: AnyQuestion, answer: Answer) -> None:
    with pytest.raises(NotUnderstood):
        decode_answer(encode(answer), question)


def test_an_answer_to_another_question_is_refused() -> None:
    for question, _ in CONVERSATIONS:
        for _, answer in CONVERSATIONS:
            if not isinstance(answer, (Failed, question.answered_by())):
                with pytest.raises(NotUnderstood):
                    decode_answer(encode(answer), question)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"[" * 100_000,
        b'{"type": "Forgotten"',
        b'{"type": "Inspected"}',
        b'{"type": "Codes", "found": [{"kind": "python", "name": 5, "file": "", "first_line": 1}]}',
        b'{"type": "ThreadNames", "named": [["8", "x"]]}',
        b'{"type": "Names", "frames": "x"}',
        b'{"type": "Other"}',
    ],
)
def test_what_is_no_answer_is_refused(data: bytes) -> None:
    for question, _ in CONVERSATIONS:
        with pytest.raises(NotUnderstood):
            decode_answer(data, question)
    with pytest.raises(NotUnderstood):
        decode_question(data)


@given(st.sampled_from(CONVERSATIONS), json_values, st.data())
def test_a_forged_field_gives_an_answer_of_the_right_type_or_none(
    conversation: tuple[AnyQuestion, Answer], value: object, data: st.DataObject
) -> None:
    question, answer = conversation
    document = json.loads(encode(answer))
    document[data.draw(st.sampled_from(sorted(document)))] = value
    try:
        decoded = decode_answer(json.dumps(document).encode(), question)
    except NotUnderstood:
        return
    assert isinstance(decoded, (Failed, question.answered_by()))
    assert decode_answer(encode(decoded), question) == decoded


def test_a_line_table_with_starts_and_no_lines_is_refused() -> None:
    question = ReadCodes(PROCESS, (RawFrame(1, 1, 2, 3),))
    answer = encode(Codes((CodeObject("ruby", "f", "a.rb", 1, (0, 2), (1, 2)),)))
    with pytest.raises(NotUnderstood, match="2 starts of 1 lines"):
        decode_answer(answer.replace(b'"lines": [1, 2]', b'"lines": [1]'), question)
