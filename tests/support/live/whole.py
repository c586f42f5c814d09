"""What is asked of whole stacks."""

from __future__ import annotations

from collections.abc import Iterable


def of(function: str, stack: Iterable[str]) -> list[int]:
    """Where in a stack the frames of a function are."""
    names = (frame.partition("(")[0].strip().removesuffix(".cold") for frame in stack)
    return [at for at, name in enumerate(names) if name == function]


def in_order(stack: tuple[str, ...], functions: Iterable[str]) -> bool:
    """Whether the stack has all of these, each within the one before it."""
    at = 0
    for function in functions:
        found = [place for place in of(function, stack) if place >= at]
        if not found:
            return False
        at = found[0] + 1
    return True


def is_whole(stack: tuple[str, ...]) -> bool:
    """Whether a stack, its process first, begins where programs in C do."""
    return stack[1].startswith("_start (")
