"""The value types: frozen, comparable, and the same on both sides of the worker's pipe."""

from __future__ import annotations

import dataclasses
import pickle

import pytest

from profiler.capture import records
from profiler.profile import model
from symbolizers import base, errors, frame, service
from symbolizers.errors import FaultReason, Reason
from symbolizers.process import deadline, identity

VALUES = [
    value
    for module in (records, model, frame, base)
    for value in vars(module).values()
    if isinstance(value, type) and dataclasses.is_dataclass(value)
] + [deadline.Request, deadline.Reply, deadline.Usage, identity.ProcessId]

ERRORS: list[errors.SymbolizeError] = [
    errors.ReadFault(0x1000, FaultReason.WOULD_FAULT),
    errors.ReadFault(0x1000, FaultReason.EXITED),
    errors.ProcessGone("process 7 exited"),
    errors.Stalled("the deadline passed"),
    errors.Unreadable("no permission"),
    errors.Changed("another object"),
    errors.Malformed("a length out of bounds"),
    errors.UnsupportedVersion("Python", "2.7", "3.11"),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: value.__name__)
def test_values_are_frozen(value: type) -> None:
    parameters = vars(value)["__dataclass_params__"]
    assert parameters.frozen
    assert parameters.eq


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_errors_come_through_the_workers_pipe_as_they_are(error: errors.SymbolizeError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert copy.reason is error.reason
    assert copy.args == error.args


def test_every_error_of_symbolizing_is_tried_above() -> None:
    kinds = {
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, errors.SymbolizeError)
    }
    assert kinds - {errors.SymbolizeError} == {type(error) for error in ERRORS}


def test_answers_come_through_the_pipe_as_they_are() -> None:
    interpreter = base.Interpreter("python", "3.11.2", "3.11", 0x1000)
    mapping = service.CodeMapping(1, 2, 3, None, "")
    answer = service.Inspection(identity.ProcessId(1, 2), (mapping,), (interpreter,), ("note",))
    assert pickle.loads(pickle.dumps(answer)) == answer
    code = frame.CodeObject("python", "f", "a.py", 1)
    assert pickle.loads(pickle.dumps(code)) == code
    raw = frame.RawFrame(1, 2, 3)
    assert pickle.loads(pickle.dumps(raw)) == raw


def test_the_reasons_are_those_of_the_stats_file() -> None:
    expected = {"would_fault", "stalled", "exited", "changed", "unsupported"}
    assert {reason.value for reason in Reason} == expected


def test_a_fault_of_a_process_that_exited_counts_as_that() -> None:
    reasons = {fault: errors.ReadFault(1, fault).reason for fault in FaultReason}
    assert reasons.pop(FaultReason.EXITED) is Reason.EXITED
    assert set(reasons.values()) == {Reason.WOULD_FAULT}
