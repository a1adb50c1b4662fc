"""Bundles on disk: damaged files, bombs, full disks, places that cannot be written."""

from __future__ import annotations

import errno
import gzip
import os
import subprocess
import sys
import tracemalloc
import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.evidence.test_bundle import SOURCES, made
from tutela.collect import archive
from tutela.collect.archive import read_bundle, write_bundle, write_whole
from tutela.errors import BundleError, CollectError
from tutela.evidence import Bundle
from tutela.evidence.bundle import MAX_BUNDLE_BYTES


def test_round_trip(tmp_path: Path) -> None:
    bundle = made(SOURCES)
    write_bundle(tmp_path / "a.bundle", bundle)

    assert read_bundle(tmp_path / "a.bundle") == bundle
    assert (tmp_path / "a.bundle").stat().st_mode & 0o777 == 0o600
    (tmp_path / "plain").write_bytes(bundle.to_bytes())
    assert read_bundle(tmp_path / "plain") == bundle


def test_every_cut_and_every_damaged_byte_of_a_packed_bundle_is_refused_or_harmless(tmp_path: Path) -> None:
    bundle = made(SOURCES)
    raw = gzip.compress(bundle.to_bytes(), mtime=0)
    path = tmp_path / "x.bundle"
    for length in range(len(raw)):
        path.write_bytes(raw[:length])
        with pytest.raises(BundleError):
            read_bundle(path)
    refused = 0
    for at in range(len(raw)):
        for flip in (0x01, 0x80):
            damaged = bytearray(raw)
            damaged[at] ^= flip
            path.write_bytes(damaged)
            try:
                # The header's time and system, and padding bits, mean nothing; the content is under CRC-32.
                assert read_bundle(path) == bundle
            except BundleError:
                refused += 1
    assert refused > len(raw)


@pytest.mark.parametrize("more", [b"x", b"\x00", gzip.compress(b"more", mtime=0)])
def test_something_behind_the_gzip_is_refused(tmp_path: Path, more: bytes) -> None:
    path = tmp_path / "x.bundle"
    path.write_bytes(gzip.compress(made(SOURCES).to_bytes()) + more)
    with pytest.raises(BundleError):
        read_bundle(path)


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    pack = zlib.compressobj(9, wbits=31)
    path = tmp_path / "bomb.bundle"
    with path.open("wb") as file:
        for _ in range(1024):
            file.write(pack.compress(bytes(1 << 20)))
        file.write(pack.flush())
    tracemalloc.start()
    with pytest.raises(BundleError):
        read_bundle(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * MAX_BUNDLE_BYTES


def test_a_file_larger_than_any_bundle_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "large.bundle"
    with path.open("wb") as file:
        file.truncate(MAX_BUNDLE_BYTES * 4)
    with pytest.raises(BundleError):
        read_bundle(path)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none", tmp_path / "none" / "x", tmp_path / ("n" * 300), Path("/dev/null")):
        with pytest.raises(BundleError):
            read_bundle(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raw=st.binary(max_size=200) | st.binary(max_size=200).map(gzip.compress) | st.binary(max_size=60).map(lambda raw: b"\x1f\x8b" + raw))
def test_any_file_is_a_bundle_or_refused(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "x"
    path.write_bytes(raw)
    with pytest.raises(BundleError):
        read_bundle(path)


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("before", [None, b"what was there before"])
@pytest.mark.parametrize("step", ["write", "fsync", "replace", "open"])
def test_a_failing_disk_leaves_what_was_there_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, before: bytes | None) -> None:
    path = tmp_path / "report.json"
    if before is not None:
        path.write_bytes(before)

    def full(*_arguments: object, **_named: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if step == "replace":
        monkeypatch.setattr(Path, "replace", full)
    elif step == "write":
        monkeypatch.setattr(archive.os, "fdopen", full)
    else:
        monkeypatch.setattr(archive.os, step, full)
    with pytest.raises(CollectError, match="No space left"):
        write_whole(path, b"new")
    monkeypatch.undo()

    assert left(tmp_path) == ([] if before is None else ["report.json"])
    assert before is None or path.read_bytes() == before


def test_failed_but_happened_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rename that took place although it reports an error: the new file is whole, nothing else is left."""
    path = tmp_path / "report.json"
    path.write_bytes(b"old")
    real = Path.replace

    def lying(self: Path, target: Path) -> Path:
        real(self, target)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(Path, "replace", lying)
    with pytest.raises(CollectError, match="was written"):
        write_whole(path, b"new")
    monkeypatch.undo()

    assert left(tmp_path) == ["report.json"]
    assert path.read_bytes() == b"new"


@pytest.mark.root
def test_a_full_disk(tmp_path: Path) -> None:
    """A real disk of 64 kB, in a mount namespace of its own."""
    script = f"""
import os, sys
sys.path.insert(0, {str(Path(archive.__file__).parents[2])!r})
from pathlib import Path
from tutela.collect.archive import write_whole
from tutela.errors import CollectError
folder = Path({str(tmp_path)!r})
write_whole(folder / "report", b"old" * 1000)
try:
    write_whole(folder / "report", os.urandom(200_000))
except CollectError as problem:
    print(problem)
print(sorted(path.name for path in folder.iterdir()), (folder / "report").read_bytes() == b"old" * 1000)
"""
    told = subprocess.run(
        ["unshare", "-m", "sh", "-c", f'mount -t tmpfs -o size=64k tmpfs "{tmp_path}" && exec "$@"', "sh", sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
    )

    assert "No space left on device" in told.stdout
    assert told.stdout.endswith("['report'] True\n")


def test_a_device_is_written_not_replaced(tmp_path: Path) -> None:
    write_whole(Path("/dev/null"), b"x")
    assert not Path("/dev/null").is_file()


def test_a_place_that_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(CollectError, match="none"):
        write_whole(tmp_path / "none" / "x", b"x")


def test_a_link_at_the_place_of_the_part_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    (tmp_path / f".x.{os.getpid()}.part").symlink_to(victim)

    with pytest.raises(CollectError):
        write_whole(tmp_path / "x", b"new")

    assert victim.read_bytes() == b"mine"


def test_the_digest_is_that_of_the_canonical_bytes(tmp_path: Path) -> None:
    bundle = made(SOURCES)
    path = tmp_path / "x.bundle"
    path.write_bytes(gzip.compress(bundle.to_bytes(), 1))
    assert isinstance(read_bundle(path), Bundle)
    assert read_bundle(path).digest == bundle.digest
