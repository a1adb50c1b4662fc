"""What the probe says of libraries that were replaced under processes that run them."""

from __future__ import annotations

import mmap
import os
import subprocess
from pathlib import Path

import pytest

from tests.collect.probe import PROBE, frames, instead_of_lanes
from tutela.facts.replaced_libraries import MAPS


@pytest.mark.root
@pytest.mark.parametrize("name", ["libcrypto.so.3", "libcrypto.so.1.1.1k", "libc-2.28.so"])
def test_a_replaced_library_is_seen_by_any_name(tmp_path: Path, name: str) -> None:
    library = tmp_path / name
    library.write_bytes(bytes(mmap.PAGESIZE))
    script = tmp_path / "probe.sh"
    script.write_text(instead_of_lanes(PROBE.read_text("utf-8"), "collect deleted_libraries"), "utf-8")

    with library.open("rb") as file, mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_EXEC):
        library.unlink()
        done = subprocess.run(["sh", str(script)], capture_output=True, timeout=60, check=True, stdin=subprocess.DEVNULL)

    assert f"{os.getpid()} {library}" in frames(done.stdout)[MAPS].content.decode().split("\n")
