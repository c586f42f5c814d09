"""Names native and kernel addresses, each once, at the end of a run: asks the worker and kallsyms."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from profiler.run.aggregate import CountedStack
from profiler.run.stacks import Element, KernelAddress, NativeAddress
from symbolizers.asker import ROOT_USER, Asker
from symbolizers.errors import Reason
from symbolizers.frame import Frame
from symbolizers.inspection import FileKey
from symbolizers.native.kernel import KernelSymbols
from symbolizers.native.unnamed import mapping_frame
from symbolizers.questions import Failed, NameOffsets, Names

_TRUSTED_S = 10.0
"""How long the names in files that trusted users own or run may take together."""
_OTHERS_S, _LEAST_S = 0.25, 0.05
"""How long after the end those in other files are waited for, and after the trusted ones at least: whoever
wrote such a file can make it costly."""
_MOST_OFFSETS = 4096
"""In one question: the answer has some hundred bytes for each."""


@dataclass(slots=True)
class _File:
    """The addresses that were sampled in a file, and `samples` with any of them."""

    is_trusted: bool
    user: int
    mapped_by: int
    samples: int = 0
    addresses: dict[NativeAddress, None] = field(default_factory=dict)


class AddressNames:
    """Frames by address. Lifetime: the end of one recording.

    `is_trusted` says whether a user is, `owner_of` who owns a file. `kernel_is_hidden` says whether kernel
    functions were sampled whose names the kernel hides. `lacking` holds the addresses whose names could not
    be read, or not in time, each with the reason; they are shown as places in their file.
    """

    def __init__(
        self, asker: Asker, *, is_trusted: Callable[[int], bool], owner_of: Callable[[FileKey], int]
    ) -> None:
        self._asker = asker
        self._is_trusted = is_trusted
        self._owner_of = owner_of
        self._frames: dict[Element, Frame] = {}
        self._open = 0
        self.lacking: dict[Element, Reason] = {}
        self.kernel_is_hidden = False

    def resolve(self, stacks: Iterable[CountedStack], *, ended_s: float) -> dict[Element, Frame]:
        """A frame for every native and kernel address in `stacks`; the files with most samples come first.

        `ended_s`: when the recording ended, on CLOCK_MONOTONIC.
        """
        kernel: set[KernelAddress] = set()
        files: dict[FileKey, _File] = {}
        for stack in stacks:
            addresses = dict.fromkeys(each for each in stack.elements if isinstance(each, NativeAddress))
            kernel.update(each for each in stack.elements if isinstance(each, KernelAddress))
            for key in {each.file for each in addresses}:
                self._file(files, key, stack).samples += stack.samples
            for each in addresses:
                files[each.file].addresses[each] = None
        self._name_kernel(kernel)
        by_samples = sorted(files.items(), key=lambda item: -item[1].samples)
        self._ask({key: file for key, file in by_samples if file.is_trusted}, time.monotonic() + _TRUSTED_S)
        others_end_s = max(ended_s + _OTHERS_S, time.monotonic() + _LEAST_S)
        self._ask({key: file for key, file in by_samples if not file.is_trusted}, others_end_s)
        for file in files.values():
            for each in file.addresses:
                if each not in self._frames:
                    self._frames[each] = mapping_frame(each.path, each.offset)
        return self._frames

    def _file(self, files: dict[FileKey, _File], key: FileKey, stack: CountedStack) -> _File:
        is_trusted = self._is_trusted(stack.user)
        known = files.get(key)
        if known is None:
            by_owner = self._is_trusted(self._owner_of(key))
            known = files[key] = _File(is_trusted or by_owner, stack.user, stack.pid)
        elif is_trusted:
            known.is_trusted = True
        return known

    def _name_kernel(self, addresses: set[KernelAddress]) -> None:
        symbols = KernelSymbols()
        resolved = symbols.resolve(each.address for each in addresses)
        for each in addresses:
            self._frames[each] = resolved[each.address]
        self.kernel_is_hidden = symbols.hidden and bool(addresses)

    def _ask(self, files: Mapping[FileKey, _File], end_s: float) -> None:
        """Asks for the names in these files, and waits for them until then."""
        for key, file in files.items():
            addresses = tuple(file.addresses)
            self.lacking.update(dict.fromkeys(addresses, Reason.OVER_BUDGET))
            for at in range(0, len(addresses), _MOST_OFFSETS):
                self._ask_for(key, addresses[at : at + _MOST_OFFSETS], file)
        while self._open and (left_s := end_s - time.monotonic()) > 0:
            self._asker.wait(left_s)

    def _ask_for(self, key: FileKey, addresses: tuple[NativeAddress, ...], file: _File) -> None:
        def answered(answer: Names | Failed) -> None:
            self._open -= 1
            if isinstance(answer, Names):
                self._frames.update(zip(addresses, answer.frames, strict=True))
            for each in addresses:
                # What is no ELF file has no names that anybody could read.
                if isinstance(answer, Names) or answer.reason is Reason.UNSUPPORTED:
                    del self.lacking[each]
                else:
                    self.lacking[each] = answer.reason

        self._open += 1
        offsets = tuple(each.offset for each in addresses)
        question = NameOffsets(key, addresses[0].path, offsets, file.mapped_by)
        self._asker.ask(question, answered, user=ROOT_USER if file.is_trusted else file.user)
