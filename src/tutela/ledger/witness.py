"""What a witness decides, by C2SP tlog-witness: https://c2sp.org/tlog-witness

A witness cosigns a checkpoint only if it continues the last one that it cosigned of that log. Decided here; remembered in `store.seen`.

The refusals and their HTTP statuses, in the order in which they are looked for:

    MalformedError    400   no such request, no checkpoint
    OriginError       404   a log that this witness does not know
    UnsignedError     403   not signed by that log's key, or the signature does not verify
    MalformedError    400   the proof begins beyond the checkpoint
    ConflictError     409   the proof does not begin at the size that was cosigned last; the answer is that size
    ConsistencyError  422   the proof does not lead there; as TwoHistoriesError where that proves misbehaviour
"""

from __future__ import annotations

import base64
from collections.abc import Sequence

from tutela.language import Text
from tutela.ledger.checkpoint import SignedCheckpoint, parse_claim
from tutela.ledger.fork import MAX_PROOF, Fork, TwoHistoriesError
from tutela.ledger.log import Log
from tutela.ledger.merkle import EMPTY_ROOT, HASH_BYTES, check_consistency, root_shown
from tutela.ledger.note import MAX_NOTE_BYTES, Note, VerifierKey, decimal, decoded, parse_note
from tutela.ledger.refused import ConflictError, ConsistencyError, DamagedError, LedgerError, MalformedError, OriginError, RollbackError, UnsignedError
from tutela.ledger.signing import verified_by
from tutela.record import record

MAX_REQUEST_BYTES = MAX_NOTE_BYTES + 64 * 64
SIZE_TYPE = "text/x.tlog.size"
"""Content-Type of the answer that tells the size which was cosigned last."""

STATUSES: dict[type[LedgerError], int] = {MalformedError: 400, UnsignedError: 403, OriginError: 404, ConflictError: 409, ConsistencyError: 422}


@record
class Request:
    """An add-checkpoint request: the proof that `head` continues the checkpoint of `old` entries."""

    old: int
    proof: tuple[bytes, ...]
    head: SignedCheckpoint

    @property
    def content(self) -> bytes:
        """The request's body."""
        lines = [f"old {self.old}", *(base64.b64encode(one).decode() for one in self.proof)]
        return "".join(f"{line}\n" for line in lines).encode() + b"\n" + self.head.content


def parse_request(content: bytes) -> Request:
    """The request in a body; raises MalformedError."""
    if len(content) > MAX_REQUEST_BYTES:
        raise MalformedError(Text(f"请求超过 {MAX_REQUEST_BYTES} 字节", f"the request has more than {MAX_REQUEST_BYTES} bytes"))
    header, parted, checkpoint = content.partition(b"\n\n")
    old, *proof = header.decode("ascii", "replace").split("\n")
    if not parted or not old.startswith("old ") or len(proof) > MAX_PROOF:
        raise MalformedError(
            Text(
                f"请求应有 old 行、至多 {MAX_PROOF} 行证明、空行和检查点",
                f"a request is a line with old, at most {MAX_PROOF} lines of proof, an empty line and a checkpoint",
            )
        )
    hashes = tuple(decoded(line) for line in proof)
    if any(len(one) != HASH_BYTES for one in hashes):
        raise MalformedError(Text(f"证明的每一行是 {HASH_BYTES} 字节", f"each line of a proof has {HASH_BYTES} bytes"))
    note = parse_note(checkpoint)
    return Request(decimal(old.removeprefix("old ")), hashes, SignedCheckpoint(parse_claim(note.text), note))


def authentic(head: SignedCheckpoint, keys: Sequence[VerifierKey]) -> SignedCheckpoint:
    """The checkpoint with its log's signatures alone; raises OriginError or UnsignedError. A log is known by its key's name, which is its origin."""
    origin = head.checkpoint.origin
    trusted = tuple(key for key in keys if key.name == origin)
    if not trusted:
        raise OriginError(Text(f"不认识账本 {origin!r}", f"the log {origin!r} is not known here"))
    signed = {one.key.key_id for one in verified_by(head.note, trusted)}
    kept = {one.key_id: one for one in head.note.signatures if one.name == origin and one.key_id in signed}
    return SignedCheckpoint(head.checkpoint, Note(head.note.text, tuple(kept.values())))


def check_continues(request: Request, last: SignedCheckpoint | None) -> None:
    """That an authentic request continues what was cosigned last, if anything; raises MalformedError, ConflictError, ConsistencyError."""
    new = request.head.checkpoint
    if request.old > new.size:
        raise MalformedError(
            Text(f"证明从 {request.old} 条起，检查点却只有 {new.size} 条", f"the proof begins at {request.old} entries, but the checkpoint has {new.size}")
        )
    size, root = (last.checkpoint.size, last.checkpoint.root) if last else (0, EMPTY_ROOT)
    if request.old != size:
        raise ConflictError(request.old, size)
    try:
        check_consistency(size, root, new.size, new.root, request.proof)
    except ConsistencyError:
        shown = new.root if new.size == size else root_shown(size, new.size, new.root, request.proof)
        if last and new.size and shown is not None and shown != root:
            # The proof is sound, of another history; with the same size none is needed. Of no entries there is but one tree: another root is no history.
            raise TwoHistoriesError(Fork(last, request.head, shown, request.proof if new.size > size else ())) from None
        # It may be the proof alone that is wrong, and then it says nothing about the log.
        raise ConsistencyError(
            Text(
                f"证明不能说明 {new.size} 条的日志由见证过的 {size} 条增长而来",
                f"the proof does not show that the log of {new.size} entries grew out of the {size} that were cosigned",
            )
        ) from None


def request_for(log: Log, last: SignedCheckpoint | None) -> Request:
    """The request that shows that `log`, whose signature was verified, continues what was cosigned last; made from its tiles.

    Raises TwoHistoriesError if it does not, RollbackError if it shows less, DamagedError or MissingError if its tiles are not those of its checkpoint.
    """
    if last is None:
        return Request(0, (), log.head)
    old, new = last.checkpoint, log.head.checkpoint
    if new.size < old.size:
        raise RollbackError(
            Text(
                f"{log.source.place} 只到 {new.size} 条，而以前见过 {old.size} 条：是旧副本，或者账本倒退了",
                f"{log.source.place} ends at {new.size} entries, and {old.size} were seen before: an old copy, or the log was rolled back",
            )
        )
    proof = tuple(log.consistency(old.size))
    there = new.root if new.size == old.size else log.tree.hash_of(0, old.size) if old.size else EMPTY_ROOT
    try:
        check_consistency(old.size, there, new.size, new.root, proof)
    except ConsistencyError as problem:
        raise DamagedError(
            Text(
                f"{log.source.place} 的瓦片与它签的根不符，看不出历史：{problem.message.zh}",
                f"the tiles of {log.source.place} do not give the root that it signed, so its history cannot be seen: {problem.message.en}",
            )
        ) from None
    if there != old.root:
        raise TwoHistoriesError(Fork(last, log.head, there, proof))
    return Request(old.size, proof, log.head)
