"""The sampler's text as compilers get it: sample.c, and two programs for every language."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

from profiler.capture.btf import Btf
from profiler.capture.header import BPF_DIRECTORY
from symbolizers.descriptor import LanguageDescriptor

_THREAD_POINTER = ("thread_struct", "fsbase")
"""Where the kernel keeps the thread pointer of a task, on x86-64: see arch_x86_64.h."""


class Part(str, Enum):
    """What one compiler makes: two can work side by side, and what can wait does."""

    SAMPLES = "samples"
    """What samples, unwinds native stacks, and tells of processes."""
    WALKERS = "walkers"
    """One for each language."""
    LATER = "later"
    """What counts equal samples and what names code: it is not missed at once."""


_FILES = {
    Part.SAMPLES: (
        *("walk.h", "first_sight.h", "send.h", "instants.h"),
        *("sample.c", "code_map.h", "copy.h", "unwind.h"),
    ),
    Part.WALKERS: ("walk.h",),
    Part.LATER: ("walk.h", "first_sight.h", "send.h", "naming.h", "count.h", "symbols.h"),
}
_OF_LANGUAGES = {Part.WALKERS: "walk", Part.LATER: "name"}


def program_text(languages: Iterable[LanguageDescriptor], parts: Iterable[Part] = Part) -> bytes:
    """One C text with all programs of these `parts`.

    The compiler's messages name the file that a line came from.
    ``#include`` would not do: BCC makes programs only of functions in the main text, and rewrites accesses to
    maps only there.
    """
    wings = [language.name for language in languages]
    names = list(dict.fromkeys(name for part in parts for name in _files(part, wings)))
    texts = (f'#line 1 "{name}"\n'.encode() + (BPF_DIRECTORY / name).read_bytes() for name in names)
    return b"\n".join(texts)


def _files(part: Part, languages: Iterable[str]) -> tuple[str, ...]:
    prefix = _OF_LANGUAGES.get(part)
    return (*_FILES[part], *(f"{prefix}_{language}.h" for language in languages if prefix is not None))


def walker_name(language: str) -> str:
    """The function in the text that is this language's walker."""
    return f"on_{language}"


def namer_name(language: str) -> str:
    """The function in the text that takes the names of this language's code objects."""
    return f"on_name_{language}"


def task_offsets(btf: Btf) -> dict[str, int]:
    """This kernel's offsets of what the sampler reads from a task, by their names in the text."""
    return {
        "TASK_GROUP_LEADER": btf.offset("task_struct", "group_leader"),
        "TASK_REAL_PARENT": btf.offset("task_struct", "real_parent"),
        "TASK_START_BOOTTIME": btf.offset("task_struct", "start_boottime"),
        "TASK_COMM": btf.offset("task_struct", "comm"),
        "TASK_PID": btf.offset("task_struct", "pid"),
        # How often it has replaced its program, and how often its parent had when it forked it.
        "TASK_PROGRAM": btf.offset("task_struct", "self_exec_id"),
        "TASK_PARENTS_PROGRAM": btf.offset("task_struct", "parent_exec_id"),
        "TASK_TGID": btf.offset("task_struct", "tgid"),
        "TASK_SIGNAL": btf.offset("task_struct", "signal"),
        "SIGNAL_LIVE": btf.offset("signal_struct", "live"),
        "TASK_STACK": btf.offset("task_struct", "stack"),
        "TASK_THREAD": btf.offset("task_struct", "thread"),
        "THREAD_POINTER": btf.offset(*_THREAD_POINTER),
        **_mapping_offsets(btf),
    }


def abilities(btf: Btf) -> dict[str, int]:
    """What this kernel's verifier can do, as the text asks for it."""
    has = {
        "HAS_MAY_GOTO": btf.has("bpf_verifier_state", "may_goto_depth"),
        "HAS_LOOP": btf.has_name("BPF_FUNC_loop"),
    }
    return {name: 1 for name, is_there in has.items() if is_there}


def _mapping_offsets(btf: Btf) -> dict[str, int]:
    """Offsets of what the sampler reads to know what a process has mapped."""
    offsets = {
        "TASK_MM": btf.offset("task_struct", "mm"),
        "VMA_PAGE": btf.offset("vm_area_struct", "vm_pgoff"),
        "VMA_FLAGS": btf.offset("vm_area_struct", "vm_flags"),
        "VMA_FILE": btf.offset("vm_area_struct", "vm_file"),
        "VMA_OPERATIONS": btf.offset("vm_area_struct", "vm_ops"),
        "FILE_INODE": btf.offset("file", "f_inode"),
        "INODE_NUMBER": btf.offset("inode", "i_ino"),
        "INODE_BLOCK": btf.offset("inode", "i_sb"),
        "BLOCK_DEVICE": btf.offset("super_block", "s_dev"),
    }
    if btf.has("backing_file", "user_path"):  # Linux 6.7
        in_front = btf.offset("backing_file", "user_path")
        offsets["FILE_MODE"] = btf.offset("file", "f_mode")
        offsets["BACKING_PATH"] = in_front + btf.offset("path", "dentry")
        offsets["ENTRY_INODE"] = btf.offset("dentry", "d_inode")
    if btf.has("mm_struct", "mm_mt"):
        offsets["MM_MAPLE_TREE"] = btf.offset("mm_struct", "mm_mt")
        offsets["MAPLE_ROOT"] = btf.offset("maple_tree", "ma_root")
    else:
        offsets["MM_TREE"] = btf.offset("mm_struct", "mm_rb")
        offsets["VMA_TREE"] = btf.offset("vm_area_struct", "vm_rb")
    if btf.has("inode", "i_ctime_sec"):
        offsets["INODE_CHANGED_S"] = btf.offset("inode", "i_ctime_sec")
        offsets["INODE_CHANGED_NS"] = btf.offset("inode", "i_ctime_nsec")
    else:  # a struct timespec64, renamed in Linux 6.6
        name = "__i_ctime" if btf.has("inode", "__i_ctime") else "i_ctime"
        offsets["INODE_CHANGED_S"] = btf.offset("inode", name)
        offsets["INODE_CHANGED_NS"] = offsets["INODE_CHANGED_S"] + 8
    return offsets
