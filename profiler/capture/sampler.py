"""The compiled sampler for this kernel: from an earlier run, or by compilers in processes that end."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import BinaryIO

from profiler.capture import btf, program
from profiler.capture.bcc_package import find_bcc
from profiler.capture.cache import SAMPLERS, CacheRefused, kernel_build, key_of
from profiler.capture.compiled import CompiledSampler, decode_sampler
from profiler.capture.header import BPF_DIRECTORY
from profiler.capture.program import Part
from profiler.capture.source import Cost
from profiler.errors import PrerequisiteError

_COMPILER = "profiler.capture.compiler"
_SOURCES = (
    *(btf.__file__, program.__file__),
    *(str(Path(__file__).with_name(name)) for name in ("compiled.py", "compiler.py")),
)
"""What the compiled sampler depends on besides the C text."""
_NOT_KEPT = "the compiled sampler is not kept, and each run compiles it again: {}"
_MOST_SAID = 500
"""Characters of what the compiler says; its last ones are the error."""


class Sampler:
    """The parts of the sampler, each made when it is first asked for. Lifetime: one recording."""

    def __init__(self, note: Callable[[str], None], *, use_cache: bool) -> None:
        """`note` is told, once, why the next run will have to compile again.

        Raises `PrerequisiteError` where the cache can be used, and BCC is missing.
        """
        self._note = note
        self._cache_key = cache_key() if use_cache else None
        """None where the cache can't be used."""
        self._locks = {part: Lock() for part in Part}
        self._parts: dict[Part, CompiledSampler | PrerequisiteError] = {}
        """Those that are there, and why others will never be."""
        self._compilers: dict[Part, _Compiler] = {}
        self._costs: list[Cost] = []

    def cost(self) -> Cost:
        """Of the compilers that were waited for: all their CPU time, and the most memory of one."""
        costs = [Cost(), *self._costs]
        return Cost(sum(each.cpu_s for each in costs), max(each.max_rss_bytes for each in costs))

    def begin(self, part: Part) -> int:
        """Takes it from the cache where that may be used; otherwise a compiler begins. Its pid, or 0."""
        with self._locks[part]:
            self._begin(part)
            compiler = self._compilers.get(part)
            return 0 if compiler is None else compiler.pid

    def get(self, part: Part) -> CompiledSampler:
        """Waits until it is there. Raises `PrerequisiteError`."""
        with self._locks[part]:
            self._begin(part)
            compiler = self._compilers.pop(part, None)
            if compiler is not None:
                self._parts[part] = self._made_by(compiler, part)
            found = self._parts[part]
        if isinstance(found, PrerequisiteError):
            raise found
        return found

    def close(self) -> None:
        """Ends the compilers that nobody has waited for; safe to call twice."""
        for part, lock in self._locks.items():
            with lock:
                compiler = self._compilers.pop(part, None)
                if compiler is not None:
                    compiler.end()

    def _begin(self, part: Part) -> None:
        if part in self._parts or part in self._compilers:
            return
        kept = self._kept(part)
        if kept is not None:
            self._parts[part] = kept
            return
        try:
            self._compilers[part] = _Compiler(part)
        except OSError as error:
            self._parts[part] = PrerequisiteError(
                f"the compiler of the sampler can't be started ({error.strerror}): free memory or processes"
            )

    def _made_by(self, compiler: _Compiler, part: Part) -> CompiledSampler | PrerequisiteError:
        try:
            made, cost = compiler.result()
        except PrerequisiteError as error:
            return error
        self._costs.append(cost)
        if self._cache_key is not None:
            try:
                SAMPLERS.keep(_key_of_part(self._cache_key, part), made.encode())
            except CacheRefused as refused:
                self._do_without_cache(refused)
        return made

    def _kept(self, part: Part) -> CompiledSampler | None:
        if self._cache_key is not None:
            try:
                return _cached_part(self._cache_key, part)
            except CacheRefused as refused:
                self._do_without_cache(refused)
        return None

    def _do_without_cache(self, why: CacheRefused) -> None:
        if self._cache_key is not None:
            self._cache_key = None
            self._note(_NOT_KEPT.format(why))


class _Compiler:
    """A process that compiles one part: it takes some 0.4 s of CPU time."""

    def __init__(self, part: Part) -> None:
        """Raises OSError where no process can be started."""
        import subprocess  # here: most recordings find all of the sampler in the cache

        # Their memory is that of this process, and no pipe has to be read meanwhile.
        self._made, self._said = (os.fdopen(os.memfd_create(name), "w+b") for name in ("made", "said"))
        # Ctrl-C, which the whole group gets, does not end it with a traceback.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-m", _COMPILER, part],
                stdin=subprocess.DEVNULL,
                stdout=self._made,
                stderr=self._said,
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    @property
    def pid(self) -> int:
        """Its number, which is another process's once it has been waited for."""
        return self._process.pid

    def result(self) -> tuple[CompiledSampler, Cost]:
        """Waits for it; to be called once. Raises `PrerequisiteError`."""
        _, status, usage = os.wait4(self._process.pid, 0)
        self._process.returncode = os.waitstatus_to_exitcode(status)
        with self._made, self._said:
            made, said = (self._content(file) for file in (self._made, self._said))
        try:
            return decode_sampler(made), Cost(usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)
        except ValueError:
            why = said.decode(errors="replace").strip()[-_MOST_SAID:]
            raise PrerequisiteError(
                f"BCC did not compile the sampler ({why or 'it was killed'}): pidflame needs Linux 5.10 or"
                " later with CONFIG_BPF_SYSCALL, and the capabilities CAP_BPF and CAP_PERFMON (run it with"
                " sudo)"
            ) from None

    def end(self) -> None:
        """Ends it before it is done."""
        with self._made, self._said, self._process:
            self._process.kill()

    @staticmethod
    def _content(file: BinaryIO) -> bytes:
        file.seek(0)
        return file.read()


def is_kept() -> bool:
    """Whether a recording starts without a compiler. Raises `CacheRefused`, and what `cache_key` raises."""
    key = cache_key()
    return all(_cached_part(key, part) is not None for part in Part)


def _cached_part(key: str, part: Part) -> CompiledSampler | None:
    """What an earlier run has kept of the sampler with this `cache_key`. Raises `CacheRefused`."""
    kept = SAMPLERS.read(_key_of_part(key, part))
    with suppress(ValueError):  # it was cut, and is about to be made again
        return None if kept is None else decode_sampler(kept)
    return None


def _key_of_part(key: str, part: Part) -> str:
    return f"{key}.{part.value}"


def cache_key() -> str:
    """Under which the cache keeps the sampler for this kernel, these sources and this BCC.

    Raises `PrerequisiteError` where BCC is missing.
    """
    paths = [*sorted(path for path in BPF_DIRECTORY.rglob("*") if path.is_file()), *map(Path, _SOURCES)]
    return key_of(*(path.read_bytes() for path in paths), kernel_build(), find_bcc().version.encode())
