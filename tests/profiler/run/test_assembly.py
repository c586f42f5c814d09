"""How a native stack ends, as far as what is mapped tells."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from profiler.capture.wire import UserEnd
from profiler.run.assembly import cut_in_generated
from profiler.run.stacks import CodeMap
from symbolizers.inspection import CodeMapping, generated_by
from symbolizers.process.identity import ProcessId
from tests.support.samples import raw_sample, told_file

MAPPINGS = (
    CodeMapping(0x1000, 0x2000, 0, told_file(5), "/bin/php"),
    CodeMapping(0x3000, 0x4000, 0, None, ""),
)
MAPS = (CodeMap(MAPPINGS), CodeMap(MAPPINGS, generated_by(ProcessId(7, 1), 0)))


@pytest.mark.parametrize("code", MAPS)
@pytest.mark.parametrize(
    ("user", "end", "found"),
    [
        ((0x1100, 0x1200), UserEnd.ROOT, UserEnd.ROOT),
        ((0x1100, 0x3200), UserEnd.ROOT, UserEnd.LOST),
        ((0x3100,), UserEnd.ROOT, UserEnd.LOST),
        ((0x3100, 0x1200), UserEnd.ROOT, UserEnd.ROOT),
        ((0x1100, 0x3200), UserEnd.DEEP, UserEnd.DEEP),
        ((0x1100, 0x9000), UserEnd.ROOT, UserEnd.ROOT),
        ((), UserEnd.ROOT, UserEnd.ROOT),
    ],
)
def test_generated_code_is_no_root(
    code: CodeMap, user: tuple[int, ...], end: UserEnd, found: UserEnd
) -> None:
    sample = replace(raw_sample(), user=user, user_end=int(end))
    assert cut_in_generated(sample, code).user_end == found
