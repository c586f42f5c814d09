"""Small words for tests about readers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from symbolizers.errors import FaultReason, ReadFault, SymbolizeError
from symbolizers.process.identity import open_process
from symbolizers.process.memory import NowaitReader, ReadStrategy


def open_reader(pid: int, strategy: ReadStrategy) -> NowaitReader:
    return NowaitReader(open_process(pid), strategy)


def fault_of(read: Callable[[], bytes]) -> ReadFault:
    """The fault that `read` raises."""
    with pytest.raises(ReadFault) as caught:
        read()
    return caught.value


def faults(results: Sequence[bytes | SymbolizeError]) -> list[tuple[int, FaultReason]]:
    """Address and reason of results that are all faults."""
    found = [result for result in results if isinstance(result, ReadFault)]
    assert len(found) == len(results), results
    return [(fault.address, fault.fault) for fault in found]
