"""Names, files and lines of Python code from where imports can come from, on every CPython of the machine."""

from __future__ import annotations

import os
import subprocess
import zipfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.interpreters.at_hand import Python, pythons_of_the_machine
from tests.support.live.harness import SYSTEM_PYTHON, Recorded, is_frame_of, record

HZ = 500
BURN_S = 0.2
ENOUGH = 0.3 * BURN_S * HZ
FIRST_WITH_SOURCES_IN_UNICODE = (3, 0)
FIRST_WITH_PYCACHE_PREFIX = (3, 8)
FIRST_WITH_QUALIFIED_NAMES = (3, 11)
FIRST_WITH_NAMES_OF_THREADS = (3, 6)
FIRST_THAT_TELLS_THE_KERNEL = (3, 14)

BURNER = """\
import os
def {name}():
    end = os.times()[0] + {seconds}
    while os.times()[0] < end: sum(range(999))
"""
BURNING_LINE = 4
ZIPPED = BURNER.format(name="zipped", seconds=BURN_S) + "zipped()\n"
CLASSES = """\
import os
class Outer(object):
    class Inner(object):
        def method(self):
            end = os.times()[0] + {seconds}
            while os.times()[0] < end: sum(range(999))
def make():
    def local():
        end = os.times()[0] + {seconds}
        while os.times()[0] < end: sum(range(999))
    return local
Outer.Inner().method()
make()()
"""
WIDE_NAMES = ("caf\u00e9", "\u043f\u0440\u0438\u0432\u0435\u0442", "\u5b57\U00020000")
"""Whose characters take one byte, two and four."""
MAIN = """\
import json, sys
sys.path[:0] = sys.argv[1:]
import compiled, cached, archived.zipped, classes
compiled.compiled()
cached.cached()
if sys.version_info >= (3,):
    import wide
    for name in wide.NAMES: getattr(wide, name)()
print(json.dumps(dict(cached=getattr(cached, "__cached__", None))))
"""


@dataclass(frozen=True)
class Imported:
    """A recording of a program that imports from a zip file, a lone .pyc and a cache elsewhere."""

    python: Python
    folder: Path
    recorded: Recorded

    def burns(self, name: str, file: Path, line: int = BURNING_LINE) -> None:
        """Checks that the function took its time under this very name, in this file and on this line."""
        shown = f"{name} ({file}:{line})"
        samples = self.recorded.where(lambda stack: shown in stack)
        assert samples >= ENOUGH, (shown, self.recorded.stacks.most_common(8))
        others = self.recorded.where(
            lambda stack: any(is_frame_of(frame, name) and frame != shown for frame in stack)
        )
        assert others <= 0.05 * samples + 2, (shown, others)


def lay_out(python: Python, folder: Path) -> None:
    """The program and what it imports; `compiled` has no source any more, `cached` a cache elsewhere."""
    sources = {name: BURNER.format(name=name, seconds=BURN_S) for name in ("compiled", "cached")}
    sources |= {"classes": CLASSES.format(seconds=BURN_S), "main": MAIN}
    wide = "".join(BURNER.format(name=name, seconds=BURN_S) for name in WIDE_NAMES)
    sources["wide"] = f"{wide}NAMES = {list(WIDE_NAMES)!r}\n"
    for name, source in sources.items():
        (folder / f"{name}.py").write_text(source, encoding="utf-8")
    with zipfile.ZipFile(folder / "lib.zip", "w") as archive:
        archive.writestr("archived/__init__.py", "")
        archive.writestr("archived/zipped.py", ZIPPED)
    gone = folder / "compiled.py"
    compile_it = "import py_compile, sys; py_compile.compile(sys.argv[1], sys.argv[1] + 'c', doraise=True)"
    subprocess.run([python.program, "-B", "-c", compile_it, gone], check=True)
    gone.unlink()


@pytest.fixture(
    scope="module",
    params=pythons_of_the_machine(),
    ids=lambda python: python.name,
)
def imported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Imported:
    python: Python = request.param
    folder = tmp_path_factory.mktemp("names")
    lay_out(python, folder)
    options = ["-B"]
    if python.version >= FIRST_WITH_PYCACHE_PREFIX:
        options = ["-X", f"pycache_prefix={folder / 'prefix'}"]
        subprocess.run([python.program, *options, "-c", "import cached"], cwd=folder, check=True)
    command = [python.program, *options, str(folder / "main.py"), str(folder), str(folder / "lib.zip")]
    recorded = record(folder, "-F", str(HZ), "--lines", "--full-paths", command=command)
    recorded.accounted()
    return Imported(python, folder, recorded)


def test_code_from_a_zip_file_says_where_in_it(imported: Imported) -> None:
    imported.burns("zipped", imported.folder / "lib.zip" / "archived" / "zipped.py")


def test_code_of_a_lone_pyc_says_what_it_was_compiled_from(imported: Imported) -> None:
    imported.burns("compiled", imported.folder / "compiled.py")


def test_code_from_a_cache_elsewhere_is_of_its_source(imported: Imported) -> None:
    imported.burns("cached", imported.folder / "cached.py")
    if imported.python.version >= FIRST_WITH_PYCACHE_PREFIX:
        assert imported.recorded.truth["cached"].startswith(f"{imported.folder / 'prefix'}{os.sep}")


def test_names_are_qualified_where_code_objects_are(imported: Imported) -> None:
    method, local = "Outer.Inner.method", "make.<locals>.local"
    if imported.python.version < FIRST_WITH_QUALIFIED_NAMES:
        method, local = "method", "local"
    imported.burns(method, imported.folder / "classes.py", 6)
    imported.burns(local, imported.folder / "classes.py", 10)


def test_names_have_all_their_characters(imported: Imported) -> None:
    if imported.python.version >= FIRST_WITH_SOURCES_IN_UNICODE:
        for index, name in enumerate(WIDE_NAMES):
            imported.burns(name, imported.folder / "wide.py", BURNING_LINE * (index + 1))


def test_the_import_system_is_called_frozen(imported: Imported) -> None:
    if imported.python.version >= FIRST_WITH_SOURCES_IN_UNICODE:
        imports = "_find_and_load (<frozen importlib._bootstrap>:"
        importing = imported.recorded.where(
            lambda stack: (
                any(is_frame_of(frame, "zipped") for frame in stack)
                and any(frame.startswith(imports) for frame in stack)
            )
        )
        assert importing >= ENOUGH


THREADS = """\
import os, threading
def burn():
    end = os.times()[0] + {seconds}
    while os.times()[0] < end: sum(range(999))
class Worker(threading.Thread):
    def __init__(self, name):
        self.before = 1
        threading.Thread.__init__(self, name=name)
    def run(self):
        burn()
def run(thread):
    thread.start()
    thread.join()
run(Worker("own;1"))
run(threading.Thread(target=burn, name="plain"))
materialised = threading.Thread(target=burn)
materialised.__dict__["_name"] = "late"
run(materialised)
burn()
"""


@pytest.fixture(params=pythons_of_the_machine(), ids=lambda python: python.name)
def python(request: pytest.FixtureRequest) -> Python:
    found: Python = request.param
    return found


def test_threads_are_shown_as_python_calls_them(python: Python, tmp_path: Path) -> None:
    program = tmp_path / "threads.py"
    program.write_text(THREADS.format(seconds=BURN_S))
    recorded = record(tmp_path, "-F", str(HZ), "--threads", command=[python.program, str(program)])
    recorded.accounted()
    burning: Counter[str] = Counter()
    for stack, count in recorded.stacks.items():
        assert stack[1].startswith("thread ")
        if any(is_frame_of(frame, "burn") for frame in stack):
            name, _, number = stack[1].removeprefix("thread ").rpartition(" ")
            assert number[0] + number[-1] == "()"
            if number == stack[0].rpartition(" ")[2]:
                assert name == main_name(python)
            burning[name] += count
    expected = {main_name(python)}
    if has_names(python) or python.version >= FIRST_THAT_TELLS_THE_KERNEL:
        expected |= {"own:1", "plain", "late"}
    assert {name for name, count in burning.items() if count >= ENOUGH} == expected, burning


def main_name(python: Python) -> str:
    """The main thread's name: the program's where Python's can't be read."""
    return "MainThread" if has_names(python) else Path(python.program).name[:15]


def has_names(python: Python) -> bool:
    """Whether Python's own names of threads are read."""
    supported = FIRST_WITH_NAMES_OF_THREADS <= python.version < FIRST_THAT_TELLS_THE_KERNEL
    return supported and not python.program.endswith("t")


def test_a_thread_without_a_name_in_its_language_has_the_kernels(tmp_path: Path) -> None:
    program = tmp_path / "threads.py"
    program.write_text(
        "import _thread, os\n"
        "def renamed():\n"
        "    own = f'/proc/self/task/{_thread.get_native_id()}/comm'\n"
        "    with open(own, 'wb') as comm: comm.write(b'a;b\\xff')\n"
        f"    end = os.times()[0] + {2 * BURN_S}\n"
        "    while os.times()[0] < end: sum(range(999))\n"
        "    done.release()\n"
        "done = _thread.allocate_lock()\n"
        "done.acquire()\n"
        "_thread.start_new_thread(renamed, ())\n"
        "done.acquire()\n"
    )
    command = [SYSTEM_PYTHON, str(program)]
    recorded = record(tmp_path, "-F", str(HZ), "--threads", command=command)
    recorded.accounted()
    under = recorded.where(
        lambda stack: (
            stack[1].startswith("thread a:b\\xff (") and any(is_frame_of(frame, "renamed") for frame in stack)
        )
    )
    assert under >= ENOUGH
    plain = record(tmp_path, "-F", str(HZ), command=command)
    assert not plain.where(lambda stack: any(frame.startswith("thread ") for frame in stack))
    assert plain.within("renamed") >= ENOUGH
