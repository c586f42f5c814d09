"""Numbers of elements: each has one, and so have all addresses of a function that is known."""

from __future__ import annotations

import pytest

from profiler.run import numbering
from profiler.run.numbering import Numbering
from profiler.run.stacks import Element, Inner, KernelAddress, NativeAddress, RunningLine
from symbolizers.frame import NATIVE, Frame
from symbolizers.inspection import generated_by
from symbolizers.process.identity import ProcessId
from tests.support.samples import told_file

MAIN = Frame("python", "main", "app.py", 1)
OPEN = Frame(NATIVE, "open", "libc.so.6")
ONE, OTHER = (NativeAddress(told_file(5), offset, "/lib/libc.so.6") for offset in (16, 20))
GENERATED = NativeAddress(generated_by(ProcessId(7, 1), 1000), 0x8000, "")

Addresses = list[tuple[NativeAddress, int, int]]


def take(numbers: Numbering, *elements: Element) -> tuple[int, ...]:
    """Numbers a stack of the process 7 and the user 1000."""
    return numbers.complete(elements, numbers.find(elements), pid=7, user=1000)


def test_equal_elements_have_one_number() -> None:
    numbers = Numbering()
    elements = (MAIN, RunningLine(MAIN, 2), ONE, Inner(ONE), KernelAddress(3))
    assert numbers.find(elements) == [None] * 5
    assert take(numbers, *elements, MAIN) == (0, 1, 2, 3, 4, 0)
    assert numbers.find(elements) == [0, 1, 2, 3, 4]
    assert numbers.elements == list(elements)
    assert (numbers.get(ONE), numbers.get(OTHER), numbers.number(OTHER)) == (2, None, 5)


def test_each_new_address_is_told_with_where_it_was_sampled() -> None:
    told: Addresses = []
    numbers = Numbering(on_address=lambda *address: told.append(address))
    for _ in range(2):
        take(numbers, MAIN, ONE, KernelAddress(3), Inner(OTHER), ONE)
    assert told == [(ONE, 7, 1000), (OTHER, 7, 1000)]


def test_addresses_of_a_function_that_is_known_share_a_number_hidden_or_not() -> None:
    told: Addresses = []
    numbers = Numbering(known=lambda _: (ONE, OPEN), on_address=lambda *address: told.append(address))
    assert take(numbers, OTHER, Inner(OTHER), ONE, Inner(ONE)) == (0, 1, 0, 1)
    assert numbers.find((OTHER, Inner(OTHER))) == [0, 1]
    assert numbers.elements == [ONE, Inner(ONE)]
    assert [address for address, _, _ in told] == [ONE, ONE]


def test_a_function_that_is_known_late_takes_the_place_of_its_addresses() -> None:
    known: dict[NativeAddress, tuple[NativeAddress, Frame]] = {}
    numbers = Numbering(known=known.get)
    stack = take(numbers, MAIN, OTHER, ONE)
    known.update({ONE: (ONE, OPEN), OTHER: (ONE, OPEN)})
    assert numbers.find((MAIN, OTHER, ONE)) == [0, 2, 2]
    assert numbers.by_function(stack) == (0, 2, 2)


def test_names_are_as_long_as_what_is_known_of_them() -> None:
    known: dict[NativeAddress, tuple[NativeAddress, Frame]] = {}
    numbers = Numbering(known=known.get)
    stack = take(numbers, MAIN, RunningLine(MAIN, 2), ONE)
    main, name = len("main" + "app.py"), len("open" + "libc.so.6")
    assert numbers.text_length(stack, (MAIN, OTHER)) == 3 * main
    known.update({ONE: (ONE, OPEN), OTHER: (OTHER, OPEN)})
    numbers.find((ONE,))
    assert numbers.text_length(stack, (MAIN, OTHER)) == 3 * main + 2 * name


def test_few_functions_are_at_hand_and_none_of_generated_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numbering, "_MOST_SHOWN", 3)
    asked: list[NativeAddress] = []

    def known(address: NativeAddress) -> tuple[NativeAddress, Frame]:
        asked.append(address)
        return address, OPEN

    numbers = Numbering(known=known)
    addresses = tuple(NativeAddress(told_file(5), offset, "/lib/libc.so.6") for offset in range(9))
    stack = take(numbers, *addresses, GENERATED)
    for _ in range(2):
        asked.clear()
        assert numbers.find((*addresses, GENERATED)) == list(stack)
    assert GENERATED in asked
    numbers.find(addresses[-1:])
    asked.clear()
    numbers.find(addresses[-1:])
    assert asked == []
