"""The other checkpoints that a log has signed and that still lie in its folder: its entries must lead to each of them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from tutela.errors import LedgerError
from tutela.language import Text
from tutela.ledger.checkpoint import Checkpoint, parse_signed
from tutela.ledger.fsck.finding import Finding, Grade, unread
from tutela.ledger.log import CHECKPOINT, COSIGNED, Source
from tutela.ledger.note import MAX_NOTE_BYTES, VerifierKey
from tutela.ledger.refused import MissingError, OriginError, UnreachableError
from tutela.ledger.signing import verified_by
from tutela.record import record

STAMPED = "timestamps"
"""The folder of time-stamps, each with the checkpoint that it stamped."""


@record
class Head:
    """A checkpoint that the entries must lead to, and where it stands."""

    place: str
    checkpoint: Checkpoint


def signed_head(place: str, content: bytes, origin: str, keys: Collection[VerifierKey], witnesses: Collection[VerifierKey] = ()) -> Head:
    """The checkpoint in a file; raises LedgerError unless the log signed it, and each of the `witnesses` whose cosignature is there."""
    found = parse_signed(content)
    if found.checkpoint.origin != origin:
        raise OriginError(Text(f"检查点属于 {found.checkpoint.origin!r}", f"the checkpoint is of {found.checkpoint.origin!r}"))
    verified_by(found.note, tuple(keys))
    verified_by(found.note, (*keys, *witnesses))
    return Head(place, found.checkpoint)


def other_heads(
    source: Source, folder: Path | None, published: Checkpoint, keys: Collection[VerifierKey], witnesses: Collection[VerifierKey] = ()
) -> Iterator[Head | Finding]:
    """The one that witnesses cosigned, and where the log is a folder those that were time-stamped; what is wrong with one is said at once."""
    stamped = sorted(folder.joinpath(STAMPED).glob("*.checkpoint")) if folder else []
    for place in (COSIGNED, *(f"{STAMPED}/{path.name}" for path in stamped)):
        try:
            head = signed_head(place, source.read(place, MAX_NOTE_BYTES), published.origin, keys, witnesses)
        except UnreachableError:
            raise
        except MissingError:
            continue
        except (LedgerError, OSError) as problem:
            yield unread(place, problem)
            continue
        if head.checkpoint.size > published.size and head.checkpoint.size > (size := size_now(source, published, keys)):
            more = head.checkpoint.size
            what = Text(f"已签到 {more} 条，而发布的检查点只有 {size} 条：账本倒退了", f"is of {more} entries, but the checkpoint of {size}: the log went back")
            yield Finding(place, Grade.DAMAGED, what)
        else:
            yield head


def size_now(source: Source, published: Checkpoint, keys: Collection[VerifierKey]) -> int:
    """How many entries the log has by now; it may have grown since its checkpoint was read."""
    try:
        return max(published.size, signed_head(CHECKPOINT, source.read(CHECKPOINT, MAX_NOTE_BYTES), published.origin, keys).checkpoint.size)
    except LedgerError:
        return published.size
