"""The text that becomes the sampler: all of it, each line under the name of its file."""

from __future__ import annotations

import re

from profiler.capture.header import BPF_DIRECTORY
from profiler.capture.program import Part, namer_name, program_text, walker_name
from symbolizers.registry import LANGUAGES

PROGRAMS = [(f"walk_{each.name}.h", walker_name(each.name)) for each in LANGUAGES]
NAMERS = [(f"name_{each.name}.h", namer_name(each.name)) for each in LANGUAGES]


def test_every_program_stands_whole_behind_the_sampler() -> None:
    text = program_text(LANGUAGES).decode()
    parts = re.split(r'^#line 1 "(.*)"\n', text, flags=re.MULTILINE)
    assert parts[0] == ""
    names = [
        "walk.h",
        "first_sight.h",
        "send.h",
        "instants.h",
        "sample.c",
        "code_map.h",
        "copy.h",
        "unwind.h",
    ]
    names += [header for header, _ in PROGRAMS]
    names += ["naming.h", "count.h", "symbols.h", *(header for header, _ in NAMERS)]
    assert parts[1::2] == names
    for name, part in zip(names, parts[2::2], strict=True):
        assert part.rstrip("\n") == (BPF_DIRECTORY / name).read_text().rstrip("\n")


def test_each_part_has_its_programs_and_no_file_twice() -> None:
    whole = re.findall(r"^int (on_\w+)", program_text(LANGUAGES).decode(), re.M)
    found = []
    for part in Part:
        text = program_text(LANGUAGES, [part]).decode()
        files = re.findall(r'^#line 1 "(.*)"', text, re.M)
        assert len(set(files)) == len(files)
        found += re.findall(r"^int (on_\w+)", text, re.M)
    assert sorted(found) == sorted(whole)
    assert len(set(found)) == len(found)


def test_each_is_one_program_and_the_last_thing_in_its_file() -> None:
    for header, program in (*PROGRAMS, *NAMERS):
        text = (BPF_DIRECTORY / header).read_text()
        functions = re.findall(r"^(?!static|EACH)\w[\w *]*?(\w+)\(.*\)\n\{", text, re.MULTILINE)
        assert functions == [program]
        end = "next_walk(ctx, s, " if (header, program) in PROGRAMS else "next_names(ctx, s"
        assert re.search(re.escape(end) + r".*\);\n\}\n\n#endif\n\Z", text)


def test_no_two_of_them_define_the_same() -> None:
    defined = [
        name
        for language in LANGUAGES
        for part in ("walk_{}.h", "name_{}.h", "{}_layout.h")
        for name in re.findall(
            r"^#define (\w+)", (BPF_DIRECTORY / part.format(language.name)).read_text(), re.M
        )
    ]
    assert len(set(defined)) == len(defined)
