"""Names native and kernel addresses, each once, at the end of a run: asks the worker and kallsyms."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from profiler.run.stacks import Element, KernelAddress, NativeAddress
from symbolizers.asker import Asker
from symbolizers.frame import Frame
from symbolizers.inspection import FileKey
from symbolizers.native.kernel import KernelSymbols
from symbolizers.native.unnamed import mapping_frame
from symbolizers.questions import Failed, NameOffsets, Names

_NAMES_S = 10.0
"""How long all native names together may take; the worker has a deadline for each file, too."""


class AddressNames:
    """Frames by address. Lifetime: the end of one recording.

    `kernel_is_hidden` says whether kernel functions were sampled whose names the kernel hides.
    """

    def __init__(self, asker: Asker) -> None:
        self._asker = asker
        self._frames: dict[Element, Frame] = {}
        self.kernel_is_hidden = False

    def resolve(self, elements: Iterable[Element]) -> dict[Element, Frame]:
        """A frame for every native and kernel address among `elements`."""
        kernel: set[KernelAddress] = set()
        files: dict[FileKey, set[NativeAddress]] = defaultdict(set)
        for element in elements:
            if isinstance(element, KernelAddress):
                kernel.add(element)
            elif isinstance(element, NativeAddress):
                files[element.file].add(element)
        self._name_kernel(kernel)
        for file, addresses in files.items():
            self._ask(file, tuple(addresses))
        self._asker.wait_for_all(_NAMES_S)
        for addresses in files.values():
            for each in addresses - self._frames.keys():
                self._frames[each] = mapping_frame(each.path, each.offset)
        return self._frames

    def _name_kernel(self, addresses: set[KernelAddress]) -> None:
        symbols = KernelSymbols()
        resolved = symbols.resolve(each.address for each in addresses)
        for each in addresses:
            self._frames[each] = resolved[each.address]
        self.kernel_is_hidden = symbols.hidden and bool(addresses)

    def _ask(self, file: FileKey, addresses: tuple[NativeAddress, ...]) -> None:
        def answered(answer: Names | Failed) -> None:
            if isinstance(answer, Names):
                self._frames.update(zip(addresses, answer.frames, strict=True))

        offsets = tuple(each.offset for each in addresses)
        self._asker.ask(NameOffsets(file, addresses[0].path, offsets), answered)
