"""A receipt: an entry with everything that proves it is in the log, in one small file that verifies offline.

The format is C2SP tlog-proof (https://c2sp.org/tlog-proof). Its `extra` line carries the entry's own bytes, and behind them, if the subject's digest is salted, a line
`salt <base64>`: whoever holds the receipt and the subject can check one against the other.

    c2sp.org/tlog-proof@v1
    extra <base64 of the entry and the salt>
    index <number>
    <base64 hash>                     one a line, from the leaf's sibling up

    <the checkpoint with its signatures>
"""

from __future__ import annotations

import base64

from tutela.language import Text
from tutela.ledger.checkpoint import SignedCheckpoint, parse_signed
from tutela.ledger.entry import SALT_BYTES, Entry, digest, parse_entry, salted_digest
from tutela.ledger.merkle import HASH_BYTES, check_inclusion, leaf_hash
from tutela.ledger.note import MAX_NOTE_BYTES, decimal, decoded
from tutela.ledger.refused import InclusionError, MalformedError
from tutela.record import record

SUFFIX = ".tlog-proof"
MAX_RECEIPT_BYTES = MAX_NOTE_BYTES + (1 << 17)
_HEADER = "c2sp.org/tlog-proof@v1"
_MAX_PROOF = 63
_SALT = b"\nsalt "


@record
class Receipt:
    """An entry, where it stands, the hashes that lead from it to the root, and the checkpoint with that root."""

    entry: bytes
    index: int
    proof: tuple[bytes, ...]
    head: SignedCheckpoint
    salt: bytes | None = None

    @property
    def content(self) -> bytes:
        """The file's bytes."""
        extra = self.entry + (_SALT + base64.b64encode(self.salt) if self.salt else b"")
        lines = [_HEADER, f"extra {base64.b64encode(extra).decode()}", f"index {self.index}"]
        lines += [base64.b64encode(one).decode() for one in self.proof]
        return ("\n".join(lines) + "\n\n").encode() + self.head.content

    @property
    def said(self) -> Entry:
        """What the entry says; raises MalformedError."""
        return parse_entry(self.entry)

    def check(self) -> None:
        """That the entry is in the tree of the checkpoint; who signed that is for `signing` and `policy`. Raises InclusionError."""
        checkpoint = self.head.checkpoint
        check_inclusion(leaf_hash(self.entry), self.index, checkpoint.size, self.proof, checkpoint.root)

    def check_subject(self, content: bytes) -> None:
        """That the entry speaks of a file with this content; raises InclusionError."""
        subject = self.said.record.subject
        if subject.startswith("sha256:"):
            found = digest(content)
        elif self.salt:
            found = salted_digest(content, self.salt)
        else:
            raise InclusionError(
                Text(
                    "记录的摘要加了盐，而收据里没有盐：无法对照文件（盐可能已按要求删除）",
                    "the entry's digest is salted and the receipt has no salt, so no file can be compared with it (the salt may have been deleted on request)",
                )
            )
        if found != subject:
            raise InclusionError(Text(f"文件的摘要是 {found}，记录的是 {subject}", f"the file's digest is {found}, the entry has {subject}"))


def parse_receipt(content: bytes) -> Receipt:
    """The receipt in these bytes; raises MalformedError for anything but its one way of writing."""
    if len(content) > MAX_RECEIPT_BYTES:
        raise MalformedError(Text(f"收据超过 {MAX_RECEIPT_BYTES} 字节", f"the receipt has more than {MAX_RECEIPT_BYTES} bytes"))
    head, parted, note = content.partition(b"\n\n")
    lines = head.decode("ascii", "replace").split("\n")
    if not parted or lines[0] != _HEADER:
        raise MalformedError(Text(f"这不是收据：应以 {_HEADER} 开头", f"this is no receipt: it should begin with {_HEADER}"))
    if len(lines) < 3 or not lines[1].startswith("extra ") or not lines[2].startswith("index "):
        raise MalformedError(Text("收据缺少 extra 行（记录）或 index 行（位置）", "the receipt lacks its extra line (the entry) or its index line"))
    if len(lines) > 3 + _MAX_PROOF:
        raise MalformedError(Text(f"收据的证明多于 {_MAX_PROOF} 个散列", f"the receipt's proof has more than {_MAX_PROOF} hashes"))
    entry, salted, salt = decoded(lines[1][6:]).partition(_SALT)
    proof = tuple(decoded(line) for line in lines[3:])
    found = Receipt(entry, decimal(lines[2][6:]), proof, parse_signed(note), decoded(salt.decode("ascii", "replace")) if salted else None)
    if any(len(one) != HASH_BYTES for one in proof) or (found.salt is not None and len(found.salt) != SALT_BYTES):
        raise MalformedError(Text("收据里的散列或盐长度不对", "a hash or the salt of the receipt has the wrong length"))
    return found
