"""fsck and the table of known records, which the writer keeps beside its key."""

from __future__ import annotations

import re
import struct

import pytest

from tests.ledger.test_fsck import folder, fsck, kept
from tutela.ledger.store.keeper import Ledger

__all__ = ["folder", "kept"]


def test_a_table_that_forgot_a_record_is_damage_and_one_that_is_gone_is_not(kept: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    known = kept.private / "known"
    content = bytearray(known.read_bytes())
    at = next(at for at in range(4096, len(content), 16) if any(content[at : at + 8]))
    (index,) = struct.unpack_from("=Q", content, at + 8)
    for change in (bytes(16), content[at : at + 8] + struct.pack("=Q", index + 1)):
        known.write_bytes(content[:at] + change + content[at + 16 :])
        assert fsck(kept.public, "--private", str(kept.private)) == 2
        assert re.search(rf"damaged  {known}  lacks \d+ records? \(such as entry \d+\)", capsys.readouterr().out)
    for change in (b"", bytes(5000), content[:-16]):
        known.write_bytes(change)
        assert fsck(kept.public, "--private", str(kept.private)) == 0
        assert f"remark  {known}  is of no use" in capsys.readouterr().out
    known.unlink()
    assert fsck(kept.public, "--private", str(kept.private)) == 0
