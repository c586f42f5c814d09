"""Which files hold a PHP, and of which version: libraries with only its symbols."""

from __future__ import annotations

from pathlib import Path

import pytest

from symbolizers.elf.file import ElfFile
from symbolizers.errors import UnsupportedVersion
from symbolizers.layout import ABSENT_NUMBER
from symbolizers.php.language import PhpFile, PhpLanguage
from tests.support.elf_programs import build

GLOBALS = "char executor_globals[4096] = {1};"
CLASSES = "void *zend_ce_generator = GENERATORS;"
HOOKS = "void (*zend_execute_internal)(void);"
LOOP = """
static __attribute__((noinline, noipa)) int add_handler(int n) { return n + 1; }
__attribute__((noipa)) int php_exported(int n) { return n - 1; }
__attribute__((noipa)) int execute_ex(int n) { return add_handler(n) * php_exported(n) + 3; }
"""
FLAGS = (
    "-shared",
    "-fPIC",
    "-Wl,-Bsymbolic",
    "-fvisibility=protected",
    "-fno-toplevel-reorder",
    "-DGENERATORS=executor_globals",
)
CODE = GLOBALS + CLASSES + HOOKS + LOOP


def version(text: str) -> str:
    return f"""
        __attribute__((noipa)) const char *answer(const char *header) {{ return header; }}
        const char *php_request_startup(void)
        {{ return answer("Server: {text}") + answer("X-Powered-By: PHP/{text}")[0]; }}
    """


def recognise(directory: Path, source: str) -> PhpFile | None:
    """What is found in a stripped library of C `source`."""
    path = build(directory, "library.so", "-s", *FLAGS, source=source)
    return PhpLanguage().recognise(ElfFile.from_bytes(path.read_bytes()))


def test_a_file_without_php(tmp_path: Path) -> None:
    assert recognise(tmp_path, "int execute_ex(int n) { return n; }") is None
    assert PhpLanguage().recognise(ElfFile.from_bytes(Path("/usr/bin/env").read_bytes())) is None


@pytest.mark.parametrize("text", ["7.4.33", "8.2.32", "8.2.32-1+deb12u1", "8.4.0RC1"])
def test_a_supported_version(tmp_path: Path, text: str) -> None:
    found = recognise(tmp_path, CODE + version(text))
    assert found is not None
    assert text.startswith(found.version)
    assert found.row.name == f"php-{text[:3]}"


@pytest.mark.parametrize(("text", "said"), [("5.6.40", "5.6.40"), ("?", "of an unknown version")])
def test_another_version_is_refused_with_the_supported_ones(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UnsupportedVersion, match=rf"PHP {said} is not supported \(supported: 7\.4, .*8\.4"):
        recognise(tmp_path, CODE + version(text))


def test_a_build_with_threads_is_refused(tmp_path: Path) -> None:
    source = "int executor_globals_id;" + HOOKS + LOOP + version("8.2.32")
    with pytest.raises(UnsupportedVersion, match=r"PHP 8\.2\.32 \(thread-safe\) is not supported"):
        recognise(tmp_path, source)


def test_attaches_at_a_bias_with_displacements_from_its_root(tmp_path: Path) -> None:
    found = recognise(tmp_path, CODE + version("8.2.32"))
    assert found is not None
    interpreter = found.attach(0x7F00_0000_0000)
    assert interpreter.root == 0x7F00_0000_0000 + found.root
    assert (interpreter.language, interpreter.layout) == ("php", "php-8.2")
    offsets = dict(interpreter.offsets)
    assert offsets["current_frame"] == 488
    assert (found.root + offsets["generator_class"]) % (1 << 32) == found.generator_class
    assert (found.root + offsets["code_start"]) % (1 << 32) == found.code.start
    assert offsets["code_bytes"] == found.code.size > 0
    assert offsets["frameless_functions"] == ABSENT_NUMBER


def test_frameless_calls_are_found_where_there_are_any(tmp_path: Path) -> None:
    found = recognise(tmp_path, CODE + version("8.4.27") + "void *zend_flf_functions = executor_globals;")
    assert found is not None
    offsets = dict(found.attach(0).offsets)
    assert (found.root + offsets["frameless_functions"]) % (1 << 32) == found.frameless_functions > 0


def test_the_loop_begins_with_the_instructions_that_have_no_name(tmp_path: Path) -> None:
    source = CODE + version("8.2.32")
    path = build(tmp_path, "named.so", *FLAGS, source=source)
    named = ElfFile.from_bytes(path.read_bytes()).functions()
    found = recognise(tmp_path, source)
    assert found is not None
    start, end = found.loop
    handler, loop = named.find(start), named.find(end - 1)
    assert handler is not None
    assert loop is not None
    assert (handler[0], handler[1]) == ("add_handler", start)
    assert loop[0] == "execute_ex"
