"""The walls between the stages, read from the imports and the text of the code."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from token import NAME
from tokenize import tokenize

import pytest

from symbolizers.registry import LANGUAGES

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("profiler", "symbolizers")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))

TOP_LEVEL = {
    *(".ci", ".gitignore", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "LICENSE.GPL-2.0", "Makefile"),
    *("README.md", "SECURITY.md", "pyproject.toml"),
    *("docs", "examples", "profiler", "symbolizers", "tests"),
}

SINGLY = {"profiler.run"}
"""Packages whose modules are stages of their own; every other package is one."""

STAGES: dict[str, set[str]] = {
    "profiler.errors": set(),
    "profiler.priority": {"symbolizers.process"},
    "profiler.start": {"profiler.cli", "profiler.priority", "symbolizers.process"},
    "profiler.invoker": {"profiler.errors"},
    # Gives up rights of its own by the calls with which the worker gives up its.
    "profiler.privileges": {"symbolizers.process"},
    "profiler.launch": {
        *("profiler.errors", "profiler.invoker", "profiler.priority", "profiler.privileges"),
    },
    # Asks the machine for BCC and BTF in the same way as a recording will.
    "profiler.preflight": {
        *("profiler.capture", "profiler.errors", "profiler.privileges", "symbolizers.process"),
    },
    # Inspects as a session does and loads the sampler, but takes no sample apart.
    "profiler.doctor": {
        *("profiler.capture", "profiler.debug_packages", "profiler.errors", "profiler.preflight"),
        *("symbolizers.asker", "symbolizers.errors", "symbolizers.inspection", "symbolizers.process"),
        "symbolizers.questions",
    },
    # Puts what it fetches into the cache.
    "profiler.fetcher": {"profiler.capture", "profiler.errors"},
    "profiler.debuginfod": {"profiler.fetcher"},
    "profiler.doctor_text": {"profiler.doctor", "profiler.export", "profiler.preflight"},
    # Makes the sampler of every language's walker, so it goes through their descriptors. A record names its
    # process, and capture knows nothing else about processes.
    "profiler.capture": {
        *("profiler.errors", "symbolizers.base", "symbolizers.bounded", "symbolizers.descriptor"),
        *("symbolizers.elf", "symbolizers.frame", "symbolizers.inspection", "symbolizers.native"),
        *("symbolizers.process", "symbolizers.registry", "symbolizers.taken"),
    },
    # Knows where code is mapped, as the worker says; names addresses at once in a mapping without symbols.
    "profiler.run.stacks": {
        *("symbolizers.errors", "symbolizers.frame", "symbolizers.inspection", "symbolizers.native"),
        "symbolizers.registry",
    },
    # What a program knows by name; the descriptors say what an annotation shows as, and what the kernel took.
    "profiler.run.codes": {
        *("profiler.capture", "profiler.run.allowance", "profiler.run.stacks"),
        *("symbolizers.errors", "symbolizers.frame"),
        *("symbolizers.registry", "symbolizers.taken"),
    },
    # Where a program's code is, as the worker found or the kernel told, and what is known of the files.
    "profiler.run.mappings": {
        *("profiler.run.stacks", "symbolizers.asker", "symbolizers.base", "symbolizers.bounded"),
        "symbolizers.inspection",
    },
    "profiler.run.states": set(),
    "profiler.run.steps": set(),
    "profiler.run.allowance": set(),
    "profiler.run.collecting": set(),
    "profiler.run.own": {"profiler.capture", "symbolizers.process"},
    "profiler.run.deferred": {"profiler.capture", "symbolizers.inspection", "symbolizers.process"},
    "profiler.run.surroundings": {
        *("profiler.capture", "profiler.run.allowance", "profiler.run.deferred", "profiler.run.mappings"),
        "profiler.run.stacks",
        *("symbolizers.asker", "symbolizers.base", "symbolizers.errors", "symbolizers.frame"),
        *("symbolizers.inspection", "symbolizers.process"),
    },
    # Asks the worker for unwind tables, and hands them on to whatever takes samples.
    "profiler.run.unwinding": {
        *("profiler.capture", "profiler.run.copied_walk", "profiler.run.generated_tables"),
        *("profiler.run.held", "profiler.run.stacks", "symbolizers.asker", "symbolizers.frame"),
        *("symbolizers.inspection", "symbolizers.process", "symbolizers.questions"),
    },
    "profiler.run.generated_tables": {
        *("profiler.capture", "symbolizers.asker", "symbolizers.elf", "symbolizers.errors"),
        *("symbolizers.inspection", "symbolizers.process", "symbolizers.questions"),
    },
    # Does in user space what the sampler does in the kernel, by the same rules.
    "profiler.run.copied_walk": {
        *("profiler.capture", "profiler.run.stacks", "symbolizers.elf", "symbolizers.frame"),
    },
    "profiler.run.held": {
        *("profiler.capture", "profiler.run.assembly", "profiler.run.copied_walk", "symbolizers.inspection"),
    },
    # One stack out of what a program knows of a sample.
    "profiler.run.assembly": {
        *("profiler.capture", "profiler.run.codes", "profiler.run.stacks", "symbolizers.errors"),
        "symbolizers.frame",
    },
    "profiler.run.walkers": {"profiler.capture", "profiler.run.surroundings", "symbolizers.base"},
    # The state machine between capture and stacks: it knows the wire's numbers and both its neighbours, and
    # from the descriptors how an annotation shows.
    "profiler.run.program": {
        *("profiler.capture", "profiler.run.assembly", "profiler.run.codes", "profiler.run.mappings"),
        *("profiler.run.stacks", "profiler.run.states", "profiler.run.surroundings"),
        "profiler.run.walkers",
        *("symbolizers.errors", "symbolizers.frame", "symbolizers.inspection"),
        *("symbolizers.process", "symbolizers.questions", "symbolizers.taken"),
    },
    "profiler.run.processes": {
        *("profiler.capture", "profiler.run.program", "profiler.run.surroundings", "symbolizers.bounded"),
        *("symbolizers.errors", "symbolizers.inspection", "symbolizers.process", "symbolizers.questions"),
    },
    "profiler.run.significance": {"profiler.capture", "profiler.profile"},
    # Writes samples as they come, so it knows what an element without a name is.
    "profiler.run.journal": {
        *("profiler.capture", "profiler.profile", "profiler.run.stacks", "symbolizers.errors"),
        *("symbolizers.frame", "symbolizers.inspection", "symbolizers.process"),
    },
    "profiler.run.packed": set(),
    "profiler.run.numbering": {"profiler.run.stacks", "symbolizers.bounded", "symbolizers.frame"},
    # Both count stacks whose elements have no names yet, so they know what such an element is.
    "profiler.run.accounts": {
        *("profiler.capture", "profiler.profile", "profiler.run.allowance", "profiler.run.journal"),
        *(
            "profiler.run.packed",
            "profiler.run.significance",
            "symbolizers.errors",
            "symbolizers.frame",
            "symbolizers.process",
        ),
    },
    "profiler.run.aggregate": {
        *("profiler.capture", "profiler.profile", "profiler.run.accounts", "profiler.run.allowance"),
        *("profiler.run.codes", "profiler.run.journal", "profiler.run.numbering", "profiler.run.outcome"),
        *("profiler.run.significance", "profiler.run.stacks", "symbolizers.base", "symbolizers.errors"),
        *("symbolizers.frame", "symbolizers.process"),
    },
    "profiler.run.outcome": {
        *("profiler.profile", "profiler.run.accounts", "profiler.run.significance", "profiler.run.stacks"),
        *("symbolizers.errors", "symbolizers.frame"),
    },
    "profiler.run.names": {
        *("profiler.run.aggregate", "profiler.run.stacks", "symbolizers.asker", "symbolizers.errors"),
        *("symbolizers.frame", "symbolizers.inspection", "symbolizers.native", "symbolizers.process"),
        "symbolizers.questions",
    },
    # Both ask the worker, as programs do; the second stands behind them, and knows from the descriptors which
    # annotation is a task.
    "profiler.run.threads": {
        *("profiler.capture", "symbolizers.asker", "symbolizers.errors", "symbolizers.process"),
        "symbolizers.questions",
    },
    "profiler.run.descriptions": {
        *("profiler.capture", "symbolizers.asker", "symbolizers.bounded", "symbolizers.process"),
        "symbolizers.questions",
    },
    "profiler.run.tasks": {
        *("profiler.capture", "profiler.run.stacks", "symbolizers.asker", "symbolizers.base"),
        *("symbolizers.errors", "symbolizers.frame", "symbolizers.process"),
        *("symbolizers.questions", "symbolizers.registry"),
    },
    "profiler.debug_packages": {"symbolizers.registry"},
    "profiler.run.nameless": {
        "profiler.debug_packages",
        *("profiler.run.aggregate", "profiler.run.stacks", "symbolizers.frame", "symbolizers.native"),
    },
    "profiler.run.pace": set(),
    "profiler.run.request": {"profiler.capture", "profiler.run.surroundings", "symbolizers.errors"},
    "profiler.run.session": {
        *("profiler.capture", "profiler.profile", "profiler.run.accounts", "profiler.run.aggregate"),
        *("profiler.run.allowance", "profiler.run.collecting", "profiler.run.deferred"),
        *(
            "profiler.run.descriptions",
            "profiler.run.journal",
            "profiler.run.mappings",
            "profiler.run.nameless",
            "profiler.run.names",
            "profiler.run.own",
            "profiler.run.pace",
        ),
        *("profiler.run.processes", "profiler.run.request", "profiler.run.stacks"),
        *("profiler.run.steps", "profiler.run.surroundings", "profiler.run.tasks"),
        *("profiler.run.threads", "profiler.run.unwinding", "symbolizers.asker", "symbolizers.base"),
        *("symbolizers.frame", "symbolizers.process"),
    },
    # The public API, usable without root: it knows frames, reasons and what descriptors say about files, and
    # nothing about a recording.
    "profiler.profile": {
        *("profiler.errors", "symbolizers.errors", "symbolizers.frame", "symbolizers.native"),
        "symbolizers.registry",
    },
    # A language's descriptor has its colours.
    "profiler.export": {
        *("profiler.errors", "profiler.profile", "symbolizers.descriptor", "symbolizers.errors"),
        *("symbolizers.frame", "symbolizers.registry"),
    },
    # Imports the command that was named, and no other.
    "profiler.cli": {"profiler.commands", "profiler.errors"},
    "profiler.commands": {
        *("profiler.capture", "profiler.doctor", "profiler.doctor_text", "profiler.errors"),
        *("profiler.export", "profiler.fetcher", "profiler.invoker", "profiler.launch", "profiler.preflight"),
        *(
            "profiler.priority",
            "profiler.privileges",
            "profiler.profile",
            "profiler.run.journal",
            "profiler.run.request",
        ),
        "profiler.run.session",
        # Asks whether the library is there that some of the options need.
        *("symbolizers.asker", "symbolizers.errors", "symbolizers.native", "symbolizers.process"),
    },
    "symbolizers.errors": set(),
    "symbolizers.frame": set(),
    "symbolizers.bounded": set(),
    "symbolizers.checksum": set(),
    "symbolizers.c_headers": set(),
    "symbolizers.layout": set(),
    "symbolizers.elf": {"symbolizers.errors"},
    "symbolizers.values": {"symbolizers.errors", "symbolizers.frame"},
    "symbolizers.process": {"symbolizers.errors"},
    "symbolizers.native": {
        *("symbolizers.elf", "symbolizers.errors", "symbolizers.frame", "symbolizers.inspection"),
        "symbolizers.process",
    },
    "symbolizers.inspection": {"symbolizers.base", "symbolizers.process"},
    "symbolizers.base": {"symbolizers.elf", "symbolizers.errors", "symbolizers.frame"},
    "symbolizers.taken": {"symbolizers.frame"},
    "symbolizers.descriptor": {"symbolizers.base", "symbolizers.taken"},
    # Finds the wings by looking for them: it names none.
    "symbolizers.registry": {"symbolizers.base", "symbolizers.descriptor"},
    # What the two processes say to each other; both import it.
    "symbolizers.questions": {
        *("symbolizers.base", "symbolizers.errors", "symbolizers.frame", "symbolizers.inspection"),
        *("symbolizers.process", "symbolizers.registry"),
    },
    "symbolizers.asker": {
        *("symbolizers.bounded", "symbolizers.errors", "symbolizers.process", "symbolizers.questions"),
    },
    "symbolizers.files": {
        *("symbolizers.base", "symbolizers.elf", "symbolizers.errors", "symbolizers.frame"),
        *("symbolizers.inspection", "symbolizers.native", "symbolizers.process"),
    },
    # A runtime that says itself where its code is: its rows take the place of unwind information.
    "symbolizers.hotspot": {
        *("symbolizers.base", "symbolizers.elf", "symbolizers.errors", "symbolizers.inspection"),
        "symbolizers.native",
    },
    "symbolizers.code_caches": {
        *("symbolizers.bounded", "symbolizers.errors", "symbolizers.files", "symbolizers.hotspot"),
        *("symbolizers.inspection", "symbolizers.process"),
    },
    "symbolizers.service": {
        *("symbolizers.base", "symbolizers.code_caches", "symbolizers.errors", "symbolizers.files"),
        "symbolizers.frame",
        *("symbolizers.inspection", "symbolizers.native", "symbolizers.process", "symbolizers.questions"),
        "symbolizers.registry",
    },
    "symbolizers.worker": {
        *("symbolizers.errors", "symbolizers.native", "symbolizers.process", "symbolizers.questions"),
        *("symbolizers.registry", "symbolizers.service"),
    },
}
"""The stages that each stage may import. A wall is moved here first, with the reason beside it."""


WING = {
    *("symbolizers.base", "symbolizers.c_headers", "symbolizers.checksum", "symbolizers.descriptor"),
    *("symbolizers.elf", "symbolizers.errors", "symbolizers.frame", "symbolizers.layout"),
    *("symbolizers.taken", "symbolizers.values"),
}
"""What a language's wing may import: each is a stage of its own, which no other stage imports."""
WINGS = {f"symbolizers.{language.name}" for language in LANGUAGES}

NAMES_OF_LANGUAGES = {
    "profiler/capture/bcc_package.py": {"python3", "/usr/bin/python3", "python3-bpfcc"},
    "profiler/commands/record.py": {"Python"},
}
"""Files outside the wings that may name a language in code, and which words: BCC's package, and help."""


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_of(path): path for path in SOURCES}


def imported(path: Path) -> Iterator[str]:
    """Modules that the file imports anywhere, also inside functions; ``from package import module`` too."""
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            assert node.module is not None
            submodules = [f"{node.module}.{alias.name}" for alias in node.names]
            known = [name for name in submodules if name in MODULES]
            yield from known
            if len(known) < len(submodules):
                yield node.module


def stage_of(module: str) -> str | None:
    """The stage that a module is part of; None for a package's own module if the package is no stage."""
    parts = module.split(".")
    package = ".".join(parts[:2])
    if package in SINGLY:
        return ".".join(parts[:3]) if len(parts) > 2 else None
    return package if len(parts) > 1 else None


def importers_of(package: str) -> set[str]:
    return {
        module
        for module, path in MODULES.items()
        if any(name.partition(".")[0] == package for name in imported(path))
    }


def strings_of(path: Path) -> Iterator[tuple[int, str]]:
    """Line and text of every string that is not a docstring, with ``{}`` for what is put into it."""
    tree = ast.parse(path.read_text(), str(path))
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = [part.value if isinstance(part, ast.Constant) else "{}" for part in node.values]
            yield node.lineno, "".join(map(str, parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, (str, bytes)) and id(node) not in docs:
            yield node.lineno, node.value if isinstance(node.value, str) else node.value.decode("latin-1")


def tracked_files() -> list[Path]:
    """The files that git knows (also if root runs this in another user's tree)."""
    command = ("git", "-c", f"safe.directory={ROOT}", "ls-files", "-z")
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
    return [ROOT / name for name in listing.decode().split("\0") if name]


def test_there_is_code_to_look_at() -> None:
    assert {"profiler.run.session", "symbolizers.service"} <= MODULES.keys()


def test_symbolizers_never_import_the_profiler() -> None:
    assert {module for module in importers_of("profiler") if module.startswith("symbolizers")} == set()


@pytest.mark.parametrize(
    ("package", "only"), [("bcc", {"profiler.capture"}), ("click", {"profiler.cli", "profiler.commands"})]
)
def test_few_stages_know_the_package(package: str, only: set[str]) -> None:
    assert {stage_of(module) for module in importers_of(package)} == only


def test_one_file_knows_bcc() -> None:
    assert importers_of("bcc") == {"profiler.capture.compiler"}


def test_stages_import_what_the_table_allows_and_no_less() -> None:
    found: dict[str, set[str]] = defaultdict(set)
    for module, path in MODULES.items():
        stage = stage_of(module)
        if stage is None:
            continue
        targets = {stage_of(name) for name in imported(path) if name.partition(".")[0] in PACKAGES}
        found[stage] |= {target for target in targets if target is not None and target != stage}
    assert {stage: targets for stage, targets in found.items() if stage not in WINGS} == STAGES
    assert found.keys() >= WINGS
    assert {stage: found[stage] - WING for stage in WINGS} == {stage: set() for stage in WINGS}


def words_of(path: Path) -> Iterator[str]:
    """The identifiers of a source file, and its strings without docstrings; of C all but the comments."""
    if path.suffix != ".py":
        yield re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.DOTALL)
        return
    yield from (text for _, text in strings_of(path))
    with path.open("rb") as stream:
        yield from (token.string for token in tokenize(stream.readline) if token.type == NAME)


def test_no_source_outside_a_wing_names_a_language() -> None:
    wings = [ROOT / "symbolizers" / language.name for language in LANGUAGES]
    forms = ("walk_{}.h", "name_{}.h", "{}_layout.h")
    headers = {form.format(each.name) for each in LANGUAGES for form in forms}
    name = re.compile("|".join(language.name for language in LANGUAGES), re.IGNORECASE)
    found: dict[str, set[str]] = defaultdict(set)
    for path in tracked_files():
        source = path.suffix in {".py", ".c", ".h", ".css", ".js"} and path.is_file()
        outside = path.name not in headers and not any(path.is_relative_to(wing) for wing in wings)
        if path.relative_to(ROOT).parts[0] in PACKAGES and source and outside:
            named = [text for text in words_of(path) if name.search(text)]
            found[str(path.relative_to(ROOT))].update(
                word for text in named for word in re.findall(r"[\w/-]+", text) if name.search(word)
            )
    assert {path: words for path, words in found.items() if words} == NAMES_OF_LANGUAGES


def test_the_table_has_no_circles() -> None:
    left = {stage: set(targets) for stage, targets in STAGES.items()}
    while left:
        free = {stage for stage, targets in left.items() if not targets & left.keys()}
        assert free, f"these import each other: {sorted(left)}"
        left = {stage: targets for stage, targets in left.items() if stage not in free}


def test_only_session_and_the_commands_know_all_stages() -> None:
    ends = {"profiler.capture", "profiler.run.aggregate"}
    assert {stage for stage, targets in STAGES.items() if ends <= targets} == {"profiler.run.session"}
    users = {stage for stage, targets in STAGES.items() if "profiler.run.session" in targets}
    assert users == {"profiler.commands"}


PURE = ("bcc", "click", "psutil", "profiler.capture", "profiler.run", "symbolizers.process.identity")


def test_the_public_api_works_without_what_a_recording_needs() -> None:
    program = f"import sys, profiler.profile\nprint([name for name in {PURE} if name in sys.modules])"
    command = (sys.executable, "-c", program)
    assert subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout == "[]\n"


SEAM = (
    *("profiler/doctor.py", "profiler/run", "symbolizers/asker.py", "symbolizers/files.py"),
    *("symbolizers/process/deadline.py", "symbolizers/process/fair.py", "symbolizers/process/messages.py"),
    *("symbolizers/questions.py", "symbolizers/service.py", "symbolizers/worker.py"),
)
"""Where a recording's process and the worker meet, on both sides."""


def test_no_value_crosses_to_the_worker_or_back_untyped() -> None:
    untyped = {"Any", "object", "getattr", "pickle", "TypeError"}
    files = [path for path in SOURCES if path.relative_to(ROOT).as_posix().startswith(SEAM)]
    assert len(files) >= len(SEAM)
    for path in files:
        names = {node.id for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Name)}
        assert not names & untyped, path


def test_nobody_opens_the_memory_file_of_a_process() -> None:
    memory_file = re.compile(r"/proc/[^/]+/(task/[^/]+/)?mem$")
    found = [(path, line) for path in SOURCES for line, text in strings_of(path) if memory_file.search(text)]
    assert found == []


def test_only_the_process_package_reads_memory_of_others() -> None:
    users = {path.parent for path in SOURCES if "process_vm_readv" in path.read_text()}
    assert users == {ROOT / "symbolizers" / "process"}


def test_only_the_process_package_opens_proc_files_of_others() -> None:
    of_a_process = re.compile(r"/proc/(\{\}|%|[0-9])")
    users = {path.parent for path in SOURCES for _, text in strings_of(path) if of_a_process.search(text)}
    assert users == {ROOT / "symbolizers" / "process"}


def test_the_top_level_holds_what_the_design_names() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in tracked_files()} <= TOP_LEVEL


def test_no_file_leans_on_what_lies_beside_the_repository() -> None:
    outside = ("/".join(("..", "shared")), "/".join(("", "work", "")))
    for path in tracked_files():
        if path.is_file():
            text = path.read_text(errors="replace")
            assert not [name for name in outside if name in text], path
