"""The compiled sampler for this kernel: from an earlier run, or by the compiler in a process that ends."""

from __future__ import annotations

import platform
import resource
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from profiler.capture import btf, program
from profiler.capture.bcc_package import find_bcc
from profiler.capture.cache import SAMPLERS, CacheRefused, key_of
from profiler.capture.compiled import CompiledSampler, decode_sampler
from profiler.capture.header import BPF_DIRECTORY
from profiler.capture.source import Cost
from profiler.errors import PrerequisiteError

_COMPILER = "profiler.capture.compiler"
_KERNEL_NOTES = Path("/sys/kernel/notes")
"""With the kernel's build id: another build can have the same version, and other offsets."""
_SOURCES = (
    *(btf.__file__, program.__file__),
    *(str(Path(__file__).with_name(name)) for name in ("compiled.py", "compiler.py")),
)
"""What the compiled sampler depends on besides the C text."""
_NOT_KEPT = "the compiled sampler is not kept, and each run takes a second longer to start: {}"
_MOST_SAID = 500
"""Characters of what the compiler says; its last ones are the error."""


def get_sampler(note: Callable[[str], None], *, use_cache: bool) -> tuple[CompiledSampler, Cost]:
    """From the cache where it may be used, else by the compiler, with what that cost.

    `note` is told why the next run will have to compile again. Raises `PrerequisiteError`.
    """
    if not use_cache:
        return _compile()
    key = cache_key()
    try:
        kept = cached_sampler(key)
    except CacheRefused as refused:
        note(_NOT_KEPT.format(refused))
        return _compile()
    if kept is not None:
        return kept, Cost()
    made, cost = _compile()
    try:
        SAMPLERS.keep(key, made.encode())
    except CacheRefused as refused:
        note(_NOT_KEPT.format(refused))
    return made, cost


def cached_sampler(key: str) -> CompiledSampler | None:
    """What an earlier run has kept under the `key`. Raises `CacheRefused`."""
    kept = SAMPLERS.read(key)
    with suppress(ValueError):  # it was cut, and is about to be made again
        return None if kept is None else decode_sampler(kept)
    return None


def cache_key() -> str:
    """Under which the cache keeps the sampler for this kernel, these sources and this BCC.

    Raises `PrerequisiteError` where BCC is missing.
    """
    paths = [*sorted(path for path in BPF_DIRECTORY.rglob("*") if path.is_file()), *map(Path, _SOURCES)]
    notes = _KERNEL_NOTES.read_bytes() if _KERNEL_NOTES.exists() else b""
    machine = (platform.machine(), platform.release(), platform.version(), find_bcc().version)
    return key_of(*(path.read_bytes() for path in paths), notes, *map(str.encode, machine))


def _compile() -> tuple[CompiledSampler, Cost]:
    """It takes some 0.8 s of CPU time. Raises `PrerequisiteError`."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    # In a session of its own, Ctrl-C does not end it with a traceback.
    done = subprocess.run(
        [sys.executable, "-I", "-m", _COMPILER],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        start_new_session=True,
        check=False,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    try:
        return decode_sampler(done.stdout), Cost(cpu_s, after.ru_maxrss * 1024)
    except ValueError:
        said = done.stderr.decode(errors="replace").strip()[-_MOST_SAID:]
        raise PrerequisiteError(
            f"BCC did not compile the sampler ({said or 'it was killed'}): pidflame needs Linux 5.10 or later"
            " with CONFIG_BPF_SYSCALL, and the capabilities CAP_BPF and CAP_PERFMON (run it with sudo)"
        ) from None
