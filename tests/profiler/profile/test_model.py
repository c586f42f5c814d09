"""The value types: frozen and comparable."""

from __future__ import annotations

import pytest
from msgspec import Struct

from profiler.capture import records
from profiler.profile import model
from symbolizers import base, errors, frame, inspection
from symbolizers.errors import FaultReason, Reason
from symbolizers.process import deadline, identity

VALUES = [
    value
    for module in (records, model, frame, base, inspection)
    for value in vars(module).values()
    if isinstance(value, type) and issubclass(value, Struct) and value is not Struct
] + [deadline.Usage, identity.ProcessId]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: value.__name__)
def test_values_are_frozen(value: type[Struct]) -> None:
    assert value.__struct_config__.frozen
    assert value.__struct_config__.eq


def test_the_reasons_are_those_of_the_stats_file() -> None:
    known = {"would_fault", "stalled", "exited", "changed", "unsupported"}
    expected = {*known, "permission", "not_inspected", "over_budget"}
    assert {reason.value for reason in Reason} == expected


def test_a_fault_counts_as_what_it_met() -> None:
    reasons = {fault: errors.ReadFault(1, fault).reason for fault in FaultReason}
    assert reasons.pop(FaultReason.EXITED) is Reason.EXITED
    assert reasons.pop(FaultReason.PERMISSION) is Reason.PERMISSION
    assert set(reasons.values()) == {Reason.WOULD_FAULT}
