"""The headers as Python reads them are the headers as the C compiler compiles them."""

from __future__ import annotations

import re
import struct
from enum import IntEnum
from pathlib import Path

import pytest

from profiler.capture import wire
from profiler.capture.header import BPF_DIRECTORY, CStruct, read_header
from symbolizers.frame import CaptureKind
from symbolizers.layout import Layouts
from symbolizers.python import layouts as cpython
from symbolizers.ruby import layouts as ruby
from tests.support.compiled import facts_of

NAMES = ("records.h", "python_layout.h", "ruby_layout.h")


def offsets_and_sizes(layout: CStruct) -> dict[str, int]:
    """By the same expressions that the C program prints, from the `struct` format alone."""
    found = {f"sizeof(struct {layout.name})": layout.layout.size}
    offset = 0
    codes = re.findall(r"\d*[A-Za-z]", layout.layout.format)
    for field, code in zip(layout.fields, codes, strict=True):
        size = struct.calcsize("<" + code)
        found[f"offsetof(struct {layout.name}, {field})"] = offset
        found[f"sizeof(((struct {layout.name} *)0)->{field})"] = size
        offset += size
    return found


@pytest.mark.parametrize("name", NAMES)
def test_every_number_is_what_the_compiler_says(name: str, tmp_path: Path) -> None:
    header = read_header(name)
    expected = dict(header.defines)
    for enum in header.enums.values():
        expected |= enum
    for layout in header.structs.values():
        expected |= offsets_and_sizes(layout)
    assert facts_of(tmp_path, name, header) == expected


@pytest.mark.parametrize("name", NAMES)
def test_nothing_in_the_header_is_overlooked(name: str) -> None:
    text = (BPF_DIRECTORY / name).read_text()
    header = read_header(name)
    assert set(re.findall(r"^struct (\w+) \{", text, re.MULTILINE)) == header.structs.keys()
    assert set(re.findall(r"^enum (\w+) \{", text, re.MULTILINE)) == header.enums.keys()
    guard = {"PIDFLAME_" + name.upper().replace(".", "_")}
    assert set(re.findall(r"^#define\s+(\w+)", text, re.MULTILINE)) - guard == header.defines.keys()
    for layout in header.structs.values():
        body = text.split(f"struct {layout.name} {{")[1].split("};")[0]
        body = re.sub(r"/\*.*?\*/", "", body, flags=re.DOTALL)
        assert tuple(re.findall(r"(\w+)(?:\[\w+\])?;", body)) == layout.fields


@pytest.mark.parametrize(
    ("enum", "mirror", "prefix"),
    [("capture_kind", CaptureKind, ""), ("walk_status", wire.WalkStatus, "WALK_")],
)
def test_python_enums_mirror_those_of_the_header(enum: str, mirror: type[IntEnum], prefix: str) -> None:
    numbers = read_header("records.h").enums[enum]
    assert numbers == {prefix + member.name: member.value for member in mirror}


@pytest.mark.parametrize(
    ("header", "name", "layouts"),
    [
        ("python_layout.h", "python_layout", cpython.LAYOUTS),
        ("ruby_layout.h", "ruby_layout", ruby.LAYOUTS),
    ],
)
def test_every_layout_row_fills_its_struct(header: str, name: str, layouts: Layouts) -> None:
    layout = read_header(header).structs[name]
    rows = list(layouts)
    assert rows
    for row in rows:
        values = {field: number for field, number in row.numbers() if field in layout.fields}
        assert layout.layout.unpack(layout.pack(values)) == tuple(
            values.get(field, 0) for field in layout.fields
        )


def read_text(tmp_path: Path, body: str) -> None:
    path = tmp_path / "tried.h"
    path.write_text(f"#ifndef TRIED_H\n#define TRIED_H\n{body}\n#endif\n")
    read_header(str(path))


@pytest.mark.parametrize(
    "body",
    [
        "",
        "#define ONE 1\t/* with a comment behind it */",
        "enum e {\n\tA = 1,\n\tB = 2\n};",
        "#define SIZE 4\nstruct s {\n\tchar name[SIZE];\n\t__u32 number;\n};",
    ],
)
def test_understands_what_records_h_promises_to_keep_to(body: str, tmp_path: Path) -> None:
    read_text(tmp_path, body)


@pytest.mark.parametrize(
    "body",
    [
        "struct s {\n\t__u8 small;\n\t__u32 large;\n};",
        "struct s {\n\t__u64 large;\n\t__u32 small;\n};",
        "struct s {\n\t__u32 *pointer;\n};",
        "struct s {\n\tunsigned int number;\n};",
        "struct s {\n\t__u32 bits : 3;\n};",
        "struct s {\n\t__u32 a, b;\n};",
        "struct s {\n\t__u32 a;\n} __attribute__((packed));\nstruct t {\n\t__u32 b;\n};",
        "struct s {\n\t__u32 a;\n} __attribute__((packed));",
        "struct s {\n\t__u32 numbers[UNKNOWN];\n};",
        "enum e {\n\tA,\n};",
        "enum e {\n\tA = B,\n};",
        "#define SHIFTED (1 << 3)",
        "#define HEXADECIMAL 0x10",
        "typedef __u32 number;",
        "union u {\n\t__u32 a;\n};",
        "static int x;",
        "#define LATER 1\n#endif\nint unguarded;\n#if 1",
    ],
)
def test_refuses_what_it_does_not_understand(body: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_text(tmp_path, body)


def test_packs_by_name_and_misses_no_field() -> None:
    config = read_header("records.h").structs["process_config"]
    values = {name: index for index, name in enumerate(config.fields, start=1)}
    assert config.layout.unpack(config.pack(values)) == (1, 2, 3, 4, 5)
    with pytest.raises(KeyError):
        config.pack(dict.fromkeys(config.fields[1:], 0))
