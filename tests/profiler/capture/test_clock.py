"""The clock that interrupts the CPUs: how often it ticks, and what becomes of it where the kernel says no."""

from __future__ import annotations

import os

import pytest

from profiler.capture import clock
from profiler.capture.clock import Clock, online_cpus, slot_ns
from tests.support.file_keys import own_descriptors


@pytest.mark.parametrize("hz", [1, 19, 20, 100, 499])
def test_every_slot_has_a_tick_and_not_many(hz: int) -> None:
    ticks = [clock._tick_ns(hz) for _ in range(200)]
    slots = [slot_ns("cpu-clock", hz) for _ in range(200)]
    assert max(ticks) < min(slots)
    assert min(ticks) > max(slots) / 2
    assert len(set(ticks)) > 100, "each is drawn anew"
    assert abs(sum(slots) / len(slots) * hz / 1e9 - 1) < 0.01


@pytest.mark.parametrize("hz", [500, 999, 1000, 10_000])
def test_where_samples_are_due_often_each_tick_is_one(hz: int) -> None:
    ticks = [clock._tick_ns(hz) for _ in range(2000)]
    assert slot_ns("cpu-clock", hz) == 0
    assert len(set(ticks)) > 1000, "each is drawn anew"
    assert abs(sum(ticks) / len(ticks) * hz / 1e9 - 1) < 0.005
    assert max(ticks) / min(ticks) < 1.07


def test_hardware_counts_its_own_slots() -> None:
    assert slot_ns("cycles", 100) == 0


def test_cpus_that_are_online() -> None:
    assert len(list(online_cpus())) == os.cpu_count()


@pytest.mark.root
def test_what_the_kernel_refuses_leaves_nothing_open() -> None:
    before = own_descriptors()
    with pytest.raises(OSError, match="descriptor"):
        Clock("cpu-clock", 20, -1, lambda *_: None)
    assert own_descriptors() == before
