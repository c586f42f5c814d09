"""A language is a folder with a descriptor and three headers, and these agree about it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import symbolizers
from profiler.capture.header import BPF_DIRECTORY, read_header
from symbolizers.descriptor import LanguageDescriptor
from symbolizers.frame import FIRST_ANNOTATION_KIND, KERNEL, MARKER, NATIVE
from symbolizers.registry import LANGUAGE_OF_KIND, LANGUAGES, MARKERS, TASK_KINDS, find_descriptors, languages

EVERY = pytest.mark.parametrize("language", LANGUAGES, ids=lambda language: str(language.name))
WINGS = Path(symbolizers.__file__).parent


def annotations(language: LanguageDescriptor) -> list[int]:
    return [*language.markers, *([] if language.task_kind is None else [language.task_kind])]


def test_every_folder_with_a_descriptor_is_a_language() -> None:
    folders = sorted(path.parent.name for path in WINGS.glob("*/descriptor.py"))
    assert {"python", "ruby"} <= set(folders)
    assert [language.name for language in LANGUAGES] == folders


def test_another_folder_is_another_language(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("made_up", "no_language"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "__init__.py").touch()
    (tmp_path / "made_up" / "descriptor.py").write_text("DESCRIPTOR = 'as it stands there'\n")
    monkeypatch.setattr(symbolizers, "__path__", [*symbolizers.__path__, str(tmp_path)])
    found = [*find_descriptors()]
    assert [each for each in found if each in LANGUAGES] == [*LANGUAGES]
    assert [each for each in found if each not in LANGUAGES] == ["as it stands there"]


@EVERY
def test_the_name_is_a_word_that_no_other_kind_of_frame_has(language: LanguageDescriptor) -> None:
    assert re.fullmatch("[a-z]+", language.name)
    assert language.name not in (NATIVE, KERNEL, MARKER, "process")
    assert language.title.lower() == language.name, "as notes on versions and doctor have it"


@EVERY
def test_the_headers_have_the_kinds_of_the_descriptor(language: LanguageDescriptor) -> None:
    kinds = read_header(f"{language.name}_layout.h").enums[f"{language.name}_kind"]
    assert sorted(kinds.values()) == sorted([*language.code_kinds, *annotations(language)])
    assert all(0 < kind < FIRST_ANNOTATION_KIND for kind in language.code_kinds)
    assert all(FIRST_ANNOTATION_KIND <= kind < 256 for kind in annotations(language))
    mirror = vars(sys.modules[f"symbolizers.{language.name}.descriptor"])
    assert {name: mirror[name] for name in kinds} == kinds


def test_no_two_languages_have_a_kind_in_common() -> None:
    kinds = [kind for each in LANGUAGES for kind in (*each.code_kinds, *annotations(each))]
    assert len(set(kinds)) == len(kinds)
    assert {*LANGUAGE_OF_KIND, *MARKERS, *TASK_KINDS} == set(kinds)


@EVERY
def test_the_walker_is_a_program_and_its_layout_fits(language: LanguageDescriptor) -> None:
    walker = (BPF_DIRECTORY / f"walk_{language.name}.h").read_text()
    assert f"\nint on_{language.name}(struct bpf_perf_event_data *ctx)\n" in walker
    room = re.search(r"#define LAYOUT_BYTES (\d+)", (BPF_DIRECTORY / "maps.h").read_text())
    assert room is not None
    layout = read_header(f"{language.name}_layout.h").structs[f"{language.name}_layout"]
    assert layout.layout.size <= int(room[1])


@EVERY
def test_what_is_shown_can_be_shown(language: LanguageDescriptor) -> None:
    shades = (*language.palette.light, *language.palette.dark)
    assert len(set(shades)) == 8
    assert all(re.fullmatch("#[0-9a-f]{6}", shade) for shade in shades)
    for root in language.import_roots:
        assert re.compile(root).groups == 0, "groups are what a short name is taken from"


def test_each_descriptor_loads_its_language() -> None:
    assert [language.name for language in languages()] == [language.name for language in LANGUAGES]


def test_to_know_the_languages_no_reader_is_imported() -> None:
    program = "import symbolizers.registry, sys; print(*sys.modules)"
    command = [sys.executable, "-c", program]
    loaded = subprocess.run(command, capture_output=True, check=True, text=True).stdout.split()
    ours = {name for name in loaded if name.startswith("symbolizers.")}
    folders = {f"symbolizers.{module}" for module in ("elf", "hotspot", "native", "process")}
    wings = {f"symbolizers.{language.name}" for language in LANGUAGES}
    light = {f"symbolizers.{module}" for module in ("base", "descriptor", "errors", "frame", "registry")}
    told = {f"{wing}.{module}" for wing in wings for module in ("descriptor", "kinds")}
    assert ours <= folders | wings | told | light
