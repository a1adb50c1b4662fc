"""The proof that a log has shown two histories: two checkpoints that it signed, which no consistency proof joins.

Where both have one size, they are the proof. Where the second is larger, the hashes of a consistency proof go with them: they lead to the second's root from a
root at the first's size that is not the first's. Whoever has the log's public key can check it, without the log and without a witness.

    tutela fork 1
    root <the second history's root at the first checkpoint's size, base64>
    <hashes of the consistency proof from there to the second checkpoint, base64>

    <first checkpoint>

    <second checkpoint>
"""

from __future__ import annotations

import base64

from tutela.language import Text
from tutela.ledger.checkpoint import SignedCheckpoint, parse_signed
from tutela.ledger.merkle import HASH_BYTES, check_consistency
from tutela.ledger.note import MAX_NOTE_BYTES, VerifierKey, decoded
from tutela.ledger.policy import is_log_key
from tutela.ledger.refused import ConsistencyError, MalformedError, OriginError
from tutela.ledger.signing import verified_by
from tutela.record import record

TITLE = "tutela fork 1"
MAX_FORK_BYTES = 2 * MAX_NOTE_BYTES + 4096
MAX_PROOF = 63
"""Hashes of a consistency proof, at most (tlog-witness)."""
_PARTS = 5
"""The header, and text and signatures of each checkpoint: none of them has an empty line."""


@record
class Fork:
    """Two histories of one log."""

    first: SignedCheckpoint
    second: SignedCheckpoint
    """Not smaller than the first."""
    root: bytes
    """What the second has where the first ended."""
    proof: tuple[bytes, ...]

    @property
    def content(self) -> bytes:
        """The file's bytes."""
        hashes = (base64.b64encode(one).decode() for one in self.proof)
        header = "\n".join([TITLE, f"root {base64.b64encode(self.root).decode()}", *hashes])
        return b"\n".join([f"{header}\n".encode(), self.first.content, self.second.content])

    def check(self, keys: tuple[VerifierKey, ...]) -> None:
        """That it is the proof it claims to be, for a log with one of these keys.

        Raises UnsignedError, OriginError, ConsistencyError (the hashes lead elsewhere) or MalformedError (the two belong together after all).
        """
        for one in (self.first, self.second):
            if all(signed.key.name != one.checkpoint.origin for signed in verified_by(one.note, tuple(filter(is_log_key, keys)))):
                raise OriginError(Text("检查点不是以签名者的名义", "a checkpoint is not in its signer's name"))
        first, second = self.first.checkpoint, self.second.checkpoint
        if first.origin != second.origin:
            raise OriginError(Text("两个检查点属于不同的账本", "the two checkpoints are of different logs"))
        check_consistency(first.size, self.root, second.size, second.root, self.proof)
        if self.root == first.root:
            raise MalformedError(Text("两个检查点相符，不是两段历史", "the two checkpoints agree: this is one history"))


class TwoHistoriesError(ConsistencyError):
    """A log has shown two histories, and `fork` proves it."""

    def __init__(self, fork: Fork) -> None:
        first, second = fork.first.checkpoint, fork.second.checkpoint
        super().__init__(
            Text(
                f"{first.origin} 签了两段不同的历史：{first.size} 条时的根曾是 {first.root.hex()}，"
                f"而 {second.size} 条的日志在 {first.size} 条处的根是 {fork.root.hex()}",
                f"{first.origin} has signed two histories: at {first.size} entries the root was {first.root.hex()}, "
                f"but the log of {second.size} entries has {fork.root.hex()} there",
            )
        )
        self.fork = fork


def parse_fork(content: bytes) -> Fork:
    """The two histories in a file; what they prove is for `check` to say. Raises MalformedError."""
    parts = content.split(b"\n\n")
    if len(content) > MAX_FORK_BYTES or len(parts) != _PARTS:
        raise MalformedError(_NO_FORK)
    title, root, *proof = parts[0].decode("ascii", "replace").split("\n")
    if title != TITLE or not root.startswith("root ") or len(proof) > MAX_PROOF:
        raise MalformedError(_NO_FORK)
    hashes = [decoded(one) for one in (root.removeprefix("root "), *proof)]
    if any(len(one) != HASH_BYTES for one in hashes):
        raise MalformedError(_NO_FORK)
    first = parse_signed(parts[1] + b"\n\n" + parts[2] + b"\n")
    second = parse_signed(parts[3] + b"\n\n" + parts[4])
    return Fork(first, second, hashes[0], tuple(hashes[1:]))


_NO_FORK = Text("这不是两段历史的证据文件", "this file is no proof of two histories")
