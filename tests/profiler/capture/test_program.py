"""The text that becomes the sampler: all of it, each line under the name of its file."""

from __future__ import annotations

import re

from profiler.capture.header import BPF_DIRECTORY
from profiler.capture.program import program_name, program_text
from symbolizers.registry import LANGUAGES


def test_every_walker_stands_whole_behind_the_sampler() -> None:
    text = program_text(LANGUAGES).decode()
    parts = re.split(r'^#line 1 "(.*)"\n', text, flags=re.MULTILINE)
    assert parts[0] == ""
    names = ["sample.c", *(f"walk_{language.name}.h" for language in LANGUAGES)]
    assert parts[1::2] == names
    for name, part in zip(names, parts[2::2], strict=True):
        assert part.rstrip("\n") == (BPF_DIRECTORY / name).read_text().rstrip("\n")


def test_each_walker_is_one_program_and_the_last_thing_in_its_file() -> None:
    for language in LANGUAGES:
        walker = (BPF_DIRECTORY / f"walk_{language.name}.h").read_text()
        functions = re.findall(r"^(?!static)\w[\w *]*?(\w+)\(.*\)\n\{", walker, re.MULTILINE)
        assert functions == [program_name(language.name).decode()]
        assert re.search(r"next_walk\(ctx, s, .*\);\n\}\n\n#endif\n\Z", walker)


def test_no_two_walkers_define_the_same() -> None:
    defined = [
        name
        for language in LANGUAGES
        for header in (f"walk_{language.name}.h", f"{language.name}_layout.h")
        for name in re.findall(r"^#define (\w+)", (BPF_DIRECTORY / header).read_text(), re.MULTILINE)
    ]
    assert len(set(defined)) == len(defined)
