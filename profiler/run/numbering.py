"""Numbers the elements of stacks: each is held once, and compared once, however many stacks it is in."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence

from profiler.run.stacks import Element, Inner, KernelAddress, NativeAddress, RunningLine, address_in
from symbolizers.bounded import keep
from symbolizers.frame import Frame

_NO_NATIVE = (Frame, RunningLine, KernelAddress)
_MOST_SHOWN = 2048
"""Native addresses whose function is at hand."""

OnAddress = Callable[[NativeAddress, int, int], None]
"""Takes a new address, and the pid and the user that it was sampled in."""
Known = Callable[[NativeAddress], tuple[NativeAddress | Frame, Frame] | None]
"""Gives what stands for all of an address's function, and its frame, if it is known."""


def know_none(_address: NativeAddress) -> None:
    """Of no address the function is known."""


def ignore(_address: NativeAddress, _pid: int, _user: int) -> None:
    """Nothing is done about a new address."""


class Numbering:
    """Gives each element a number; addresses of one function share it once that is known.

    Lifetime: one recording.
    """

    def __init__(self, *, on_address: OnAddress = ignore, known: Known = know_none) -> None:
        """`on_address` is called with each new address of a sample."""
        self._on_address = on_address
        self._known = known
        self._numbers: dict[Element, int] = {}
        self.elements: list[Element] = []
        """By number."""
        self._texts: list[int] = []
        """How long the names are that are known in each element, in characters. By number."""
        self._shown: OrderedDict[Element, int] = OrderedDict()
        """By native address, hidden or not, the number of what stands for all of its function."""

    def get(self, element: Element) -> int | None:
        """The number of this very element; None if it has none."""
        return self._numbers.get(element)

    def number(self, element: Element) -> int:
        """The number of this very element, which may be new."""
        number = self._numbers.get(element)
        if number is None:
            number = self._numbers[element] = len(self.elements)
            self.elements.append(element)
            self._texts.append(self._text_length(element))
        return number

    def find(self, elements: tuple[Element, ...]) -> list[int | None]:
        """The number of what stands for each of them; None where that has none."""
        plain, shown = self._numbers.get, self._shown.get
        found = [plain(each) if type(each) in _NO_NATIVE else shown(each) for each in elements]
        if None in found:
            return [
                self._look_up(each) if at is None else at for each, at in zip(elements, found, strict=True)
            ]
        return found

    def complete(
        self, elements: tuple[Element, ...], numbers: Iterable[int | None], *, pid: int, user: int
    ) -> tuple[int, ...]:
        """The numbers that `find` gave for the elements of a sample, and new ones where it gave None."""
        pairs = zip(elements, numbers, strict=True)
        return tuple([self._add(each, pid, user) if at is None else at for each, at in pairs])

    def text_length(self, numbers: Iterable[int], new: Iterable[Element]) -> int:
        """Of the known names in elements that have numbers, and in `new` ones, in characters."""
        return sum(map(self._texts.__getitem__, numbers)) + sum(map(self._text_length, new))

    def by_function(self, stack: Sequence[int]) -> tuple[int, ...]:
        """The same stack, with what stands for each function that is known by now."""
        return tuple([self.number(self._function(self.elements[number])) for number in stack])

    def _look_up(self, element: Element) -> int | None:
        """As `find`, for one that is not at hand."""
        named = self._named(element)
        if named is None:
            return self._numbers.get(element)
        stands_for_all, frame = named
        number = self._numbers.get(_like(element, stands_for_all))
        if number is None:
            return None
        self._texts[number] = len(frame.name) + len(frame.file)
        address = address_in(element)
        if address is not None and not address.file.is_generated:  # which may be another function's later
            keep(self._shown, element, number, most=_MOST_SHOWN)
        return number

    def _add(self, element: Element, pid: int, user: int) -> int:
        """The number of what stands for an element, which may be new."""
        shown = self._function(element)
        is_new = shown not in self._numbers
        number = self.number(shown)
        address = address_in(shown)
        if is_new and address is not None:
            self._on_address(address, pid, user)
        return number

    def _function(self, element: Element) -> Element:
        """What stands for all of a native address's function, if that is known."""
        named = self._named(element)
        return element if named is None else _like(element, named[0])

    def _named(self, element: Element) -> tuple[NativeAddress | Frame, Frame] | None:
        """Its function, if it is a native address whose function is known."""
        address = address_in(element)
        return None if address is None else self._known(address)

    def _text_length(self, element: Element) -> int:
        """Of the names in it, in characters."""
        named = self._named(element)
        frame = named[1] if named is not None else element.frame if type(element) is RunningLine else element
        return len(frame.name) + len(frame.file) if type(frame) is Frame else 0


def _like(element: Element, of: NativeAddress | Frame) -> Element:
    """`of`, hidden if `element` is."""
    return Inner(of) if type(element) is Inner else of
