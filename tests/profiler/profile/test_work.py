"""Which C functions show as work of the interpreter."""

from __future__ import annotations

import pytest

from profiler.profile.work import marker_of, once
from symbolizers.frame import INLINED, KERNEL, MARKER, NATIVE, Frame

GC = Frame(MARKER, "[gc]")


@pytest.mark.parametrize(
    ("frame", "shown"),
    [
        (Frame(NATIVE, "gc_collect_main", "python3.13"), GC),
        (Frame(NATIVE, "gc_collect_main.lto_priv.0", "python3.11"), GC),
        (Frame(NATIVE, "_PyGC_CollectNoFail.isra.0", "libpython3.11.so.1.0"), GC),
        (Frame(NATIVE, "Py_FinalizeEx", "python3.11"), Frame(MARKER, "[interpreter exit]")),
        (Frame(NATIVE, "collect.lto_priv.0", "libpython2.7.so.1.0"), GC),
        (Frame(NATIVE, "collect", "gcmodule.c", 1000), GC),
        (Frame(NATIVE, "collect", "program"), None),
        (Frame(NATIVE, "gc_collect_mainly", "program"), None),
        (Frame("python", "gc_collect_main", "app.py", 3), None),
        (Frame(KERNEL, "gc_collect_main"), None),
        (Frame(INLINED, "gc_collect_main", "gcmodule.c", 3), None),
    ],
)
def test_a_function_is_known_by_its_name(frame: Frame, shown: Frame | None) -> None:
    assert marker_of(frame) == shown


def test_neighbours_are_one() -> None:
    assert "".join(once("aabbbacbb", "b")) == "aabacb"
    assert once("abc", "d") == "abc"
    assert once("", "d") == ""
