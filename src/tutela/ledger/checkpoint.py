"""Checkpoints: the head of a tree in a signed note, by C2SP tlog-checkpoint: https://c2sp.org/tlog-checkpoint"""

from __future__ import annotations

import base64

from tutela.language import Text
from tutela.ledger.merkle import EMPTY_ROOT, HASH_BYTES, MAX_SIZE
from tutela.ledger.note import Note, decimal, decoded, parse_note
from tutela.ledger.refused import MalformedError
from tutela.record import record


@record
class Checkpoint:
    """What a log says of itself: who it is, how many entries it has, and the root over them."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The note's text."""
        return "".join(f"{line}\n" for line in (self.origin, str(self.size), base64.b64encode(self.root).decode(), *self.extensions))


def parse_checkpoint(text: str) -> Checkpoint:
    """The checkpoint in a note's text; raises Malformed."""
    found = parse_claim(text)
    if found.size == 0 and found.root != EMPTY_ROOT:
        raise MalformedError(_IMPOSSIBLE)
    return found


def parse_claim(text: str) -> Checkpoint:
    """The same, but an empty tree may claim any root: a witness, which looks at who signed first, refuses that one later (tlog-witness)."""
    lines = text.split("\n")
    if len(lines) < 4 or "" in lines[:-1] or lines[-1]:
        raise MalformedError(Text("检查点应有三行：日志名称、条数、根", "a checkpoint has three lines: origin, size, root"))
    origin, size, root, *extensions = lines[:-1]
    found = Checkpoint(origin, decimal(size), decoded(root), tuple(extensions))
    if len(found.root) != HASH_BYTES or found.size > MAX_SIZE:
        raise MalformedError(_IMPOSSIBLE)
    return found


_IMPOSSIBLE = Text("检查点的条数或根不可能", "the checkpoint's size or root is impossible")


@record
class SignedCheckpoint:
    """A checkpoint with the note that carries it."""

    checkpoint: Checkpoint
    note: Note

    @property
    def content(self) -> bytes:
        """The file's bytes."""
        return self.note.content


def parse_signed(content: bytes) -> SignedCheckpoint:
    """A checkpoint's file; who signed it is not looked at yet. Raises Malformed."""
    note = parse_note(content)
    return SignedCheckpoint(parse_checkpoint(note.text), note)
