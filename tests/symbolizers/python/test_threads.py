"""Names of threads: those that real interpreters say they have, and what forged ones can do."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symbolizers.base import Interpreter
from symbolizers.errors import Malformed, ProcessGone, SymbolizeError
from symbolizers.layout import ABSENT, Row
from symbolizers.process.identity import ProcessId, open_process, start_ticks_of
from symbolizers.process.memory import NowaitReader
from symbolizers.python.derive import Place, read_places
from symbolizers.python.language import PythonFile
from symbolizers.python.layouts import LAYOUTS
from symbolizers.python.layouts_threads import ALIGNMENTS, THREADS
from symbolizers.service import Service
from tests.interpreters.at_hand import Python, pythons
from tests.support.live.harness import SYSTEM_PYTHON
from tests.support.python_walk import find_python
from tests.support.recorded_memory import Recorded

PROGRAM = """
import json, os, sys, threading
class Worker(threading.Thread):
    def __init__(self, name):
        self.before = 1
        threading.Thread.__init__(self, name=name)
stop = threading.Lock()
stop.acquire()
def wait(): stop.acquire(); stop.release()
threads = [threading.Thread(target=wait) for number in range(300)]
full = threading.Thread(target=wait, name="full")
for number in range(400): setattr(full, "attribute%d" % number, number)
threads += [Worker(name) for name in ("", "caf\\u00e9", "\\u043f", "\\U00020000", "n" * 300)]
threads += [threading.Thread(target=wait, name=type("Name", (str,), {})("of a subclass"))]
Worker.run = lambda self: wait()
for thread in threads[:100]: thread.start()
for thread in threads[100:]: thread.daemon = True; thread.__dict__["more"] = 1; thread.start()
full.start()
print(json.dumps([[each.ident, each.name] for each in threading.enumerate()]))
sys.stdout.flush()
sys.stdin.readline()
os._exit(0)
"""
AT_HAND = [python for python in pythons() if python.root == Path("/")]
PLACES = {
    "interpreter_modules": (
        Place("PyInterpreterState", "modules"),
        Place("PyInterpreterState", "imports.modules"),
    ),
    "module_dict": (Place("PyModuleObject", "md_dict"),),
    "type_basicsize": (Place("PyTypeObject", "tp_basicsize"),),
    "type_dictoffset": (Place("PyTypeObject", "tp_dictoffset"),),
    "type_cached_keys": (Place("PyHeapTypeObject", "ht_cached_keys"),),
    "dict_keys": (Place("PyDictObject", "ma_keys"),),
    "dict_values": (Place("PyDictObject", "ma_values"),),
    "keys_size": (Place("PyDictKeysObject", "dk_size"),),
    "keys_log2_index_bytes": (Place("PyDictKeysObject", "dk_log2_index_bytes"),),
    "keys_kind": (Place("PyDictKeysObject", "dk_kind"),),
    "keys_entry_count": (Place("PyDictKeysObject", "dk_nentries"),),
    "keys_indices": (Place("PyDictKeysObject", "dk_indices"),),
    "values_first": (Place("PyDictValues", "values"),),
    "int_size": (Place("PyLongObject", "long_value.lv_tag"), Place("PyVarObject", "ob_size")),
    "int_digits": (Place("PyLongObject", "long_value.ob_digit"), Place("PyLongObject", "ob_digit")),
}
"""Where the DWARF of a build has the numbers of a row. No structure tells how ints say their size."""


@contextmanager
def running(program: str) -> Iterator[tuple[int, dict[int, str]]]:
    """The pid of a process with many threads, and their names in it, by thread pointer."""
    with subprocess.Popen(
        [program, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield process.pid, dict(json.loads(process.stdout.readline()))
        finally:
            process.kill()


@pytest.mark.parametrize("python", AT_HAND, ids=lambda python: python.name)
def test_threads_have_the_names_that_their_process_says(python: Python) -> None:
    with running(python.program) as (pid, truth), open_process(pid) as handle:
        file, interpreter = find_python(handle)
        reader = file.thread_reader(interpreter, NowaitReader(handle))
        places = THREADS.find(python.version)
        assert (reader is None) == (places is None or python.program.endswith("t"))
        if reader is not None:
            names = reader.names(truth.keys() | {1, 1 << 40})
            # One has more attributes than anybody would give it.
            assert {name for thread, name in truth.items() if thread not in names} == {"full"}
            assert names == {thread: truth[thread][:256] for thread in names}
            assert len(names) == len(truth) - 1 > 300
            some = dict(list(names.items())[5:9])
            assert reader.names(some.keys()) == some
            assert reader.names(()) == {}


def test_a_name_is_that_of_a_thread_that_runs() -> None:
    with running(SYSTEM_PYTHON) as (pid, truth):
        service = Service(lines=False)
        process = ProcessId(pid, start_ticks_of(pid))
        main, other = (
            next(key for key, name in truth.items() if name == text) for text in ("MainThread", "café")
        )
        unused = max(int(tid) for tid in os.listdir(f"/proc/{pid}/task")) + 1
        assert service.thread_names(process, {pid: main, unused: other}) == {pid: "MainThread"}
        with pytest.raises(ProcessGone):
            service.thread_names(ProcessId(pid, process.start_ticks + 1), {pid: main})


def test_without_the_module_there_are_no_names() -> None:
    program = "import sys; print(1, flush=True); sys.stdin.read()"
    command = [SYSTEM_PYTHON, "-S", "-c", program]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        wanted = {process.pid: 1}
        with pytest.raises(Malformed, match="no threading"):
            Service(lines=False).thread_names(ProcessId(process.pid, start_ticks_of(process.pid)), wanted)


@pytest.mark.parametrize("row", tuple(THREADS), ids=lambda row: row.name)
def test_a_row_has_every_number(row: Row) -> None:
    row.validate(ALIGNMENTS)
    assert row.has("keys_size") != row.has("keys_log2_index_bytes")
    assert LAYOUTS.find(row.versions[0]) is not None


@pytest.mark.parametrize("python", AT_HAND, ids=lambda python: python.name)
def test_rows_are_what_dwarf_says(python: Python) -> None:
    """Of the builds that have DWARF: those of pyenv, with a shared library."""
    row = THREADS.find(python.version)
    for library in Path(python.program).parent.parent.glob("lib/libpython*.so.1.0"):
        if row is not None:
            numbers = {
                name: 0 if value is ABSENT else value for name, value in read_places(library, PLACES).items()
            }
            expected = {name: row[name] if row.has(name) else 0 for name in PLACES}
            assert numbers == expected


@pytest.fixture(scope="module", params=AT_HAND, ids=lambda python: python.name)
def recorded(
    request: pytest.FixtureRequest,
) -> tuple[Recorded, tuple[PythonFile, Interpreter], dict[int, str]]:
    """What a reader reads of a process, with the names of some of its threads."""
    python: Python = request.param
    with running(python.program) as (pid, truth), open_process(pid) as handle:
        file, interpreter = find_python(handle)
        memory = Recorded(NowaitReader(handle))
        wanted = dict(list(truth.items())[-12:-1])
        reader = file.thread_reader(interpreter, memory)
        if reader is not None:
            assert reader.names(wanted.keys()) == {key: name[:256] for key, name in wanted.items()}
        memory.end()
        return memory, (file, interpreter), wanted


@given(data=st.data())
@settings(deadline=None, max_examples=60)
def test_whatever_a_target_has_there_instead_the_end_comes_soon(
    recorded: tuple[Recorded, tuple[PythonFile, Interpreter], dict[int, str]], data: st.DataObject
) -> None:
    memory, (file, interpreter), truth = recorded
    reader = file.thread_reader(interpreter, memory)
    if reader is None:
        return
    places = st.sampled_from(memory.words())
    lies = st.sampled_from([0, 1, 3, 257, 1 << 15, 1 << 31, 1 << 63, (1 << 64) - 1]) | places
    memory.change(data.draw(st.dictionaries(places, lies, max_size=12)))
    try:
        names = reader.names(truth.keys())
    except SymbolizeError:
        names = {}
    assert names.keys() <= truth.keys()
    assert all(len(name) <= 256 for name in names.values())
    assert memory.ranges < 100_000
