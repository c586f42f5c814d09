"""Real interpreters, read without their help, against what they say about themselves."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from symbolizers.errors import Changed
from tests.support.live.embedded import build_embedded_python
from tests.support.python_live import TARGET, Live, running
from tests.support.python_walk import raw_frame


@pytest.fixture(scope="module", params=["static", "shared", "copied types"])
def live(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """The machine's own executable, and programs that embed its libpython."""
    if request.param == "static":
        program = Path(sys.executable).resolve()
    else:
        directory = tmp_path_factory.mktemp("embedded")
        program = build_embedded_python(directory, copy_types=request.param == "copied types")
    with running([str(program), str(TARGET)]) as found:
        yield found


def test_knows_itself(live: Live) -> None:
    assert live.file.version == live.interpreter.version == sys.version.split()[0]
    start, end = live.interpreter.loop
    assert end - start > 10_000
    assert live.interpreter.language == "python"


def test_every_code_object_is_what_its_process_says(live: Live) -> None:
    live.check_codes()
    codes = live.truth["codes"]
    assert len(codes) > 2000
    names = {code[1] for code in codes}
    assert {"outer.<locals>.функция", "𐌀.été.<locals>.Body", "outer.<locals>.名前.<locals>.<lambda>"} <= names
    assert {"\ud800", "coroutine"} <= names
    assert any(code[2].startswith("<frozen ") for code in codes)


def test_a_freed_code_object_is_not_named(live: Live) -> None:
    symbolizer = live.symbolizer(lines=False)
    assert len(live.truth["freed"]) == 200
    for address in live.truth["freed"]:
        frame = raw_frame(live.file.row, live.memory, address)  # its checksum is of what lies there now
        with pytest.raises(Changed):
            symbolizer.read(frame)


def test_the_stack_of_every_thread_is_what_its_process_says(live: Live) -> None:
    stacks = live.stacks()
    assert stacks == live.truth["stacks"]
    assert len(stacks) == 2
    assert max(map(len, stacks.values())) > 10
