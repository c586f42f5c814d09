"""Names of a stripped program, from a server of debug files."""

from __future__ import annotations

import subprocess
from pathlib import Path

from profiler.capture.cache import folder
from symbolizers.elf.file import ElfFile
from tests.support.debug_server import DebugServer
from tests.support.live.harness import WORKLOADS, record

HZ = 99


def test_functions_of_a_stripped_file_have_names_at_the_end_of_the_first_recording(tmp_path: Path) -> None:
    program, debug = tmp_path / "whole", tmp_path / "whole.debug"
    source = WORKLOADS / "inlined.c"
    # What is built here is built by nobody else: its build id is in no cache.
    subprocess.run(["gcc", "-O2", "-g", f"-DID={tmp_path.name}", source, "-o", program], check=True)
    subprocess.run(["objcopy", "--only-keep-debug", program, debug], check=True)
    subprocess.run(["strip", program], check=True)
    build_id = ElfFile.from_bytes(program.read_bytes()).build_id
    kept = folder() / f"{build_id.hex()}.debug"
    kept.unlink(missing_ok=True)
    try:
        with DebugServer({build_id: debug.read_bytes()}) as server:
            variables = {"DEBUGINFOD_URLS": server.url}
            recorded = record(
                tmp_path, "-F", str(HZ), "--debuginfod", command=[str(program), "2"], environment=variables
            )
        recorded.accounted()
        assert f"/buildid/{build_id.hex()}/debuginfo" in server.asked
        named = recorded.where(lambda stack: "outer (whole)" in stack)
        assert named > 0.8 * 2 * HZ, recorded.said
        assert kept.exists()
    finally:
        kept.unlink(missing_ok=True)
