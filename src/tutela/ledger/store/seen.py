"""What a witness keeps: its key, the logs it knows, and of each the last checkpoint that it cosigned.

The folder is 0700 and must not be restored from a backup: an older record would let the witness cosign a second history.

    key            the witness's private key, 0600                       vkey    its public half
    logs           verifier keys of the logs it knows, one a line
    seen/<hash>    by SHA-256 of the origin: the last cosigned checkpoint, with the log's signature and this witness's own
    misbehaviour/  two-histories-….txt: what a log signed that cannot both be true (ledger/fork.py); never written over

Whoever compares and records holds the folder's lock, and the record is durable before a cosignature leaves. A crash in between loses only the answer: whoever asks again is told the new size.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from tutela.language import Text
from tutela.ledger.checkpoint import SignedCheckpoint, parse_signed
from tutela.ledger.fork import Fork, TwoHistoriesError
from tutela.ledger.log import Log, Source, read_checkpoint
from tutela.ledger.note import MAX_NOTE_BYTES, Signature, VerifierKey, parse_vkey
from tutela.ledger.policy import is_log_key
from tutela.ledger.refused import DamagedError, LedgerError, MalformedError, MissingError, MisuseError
from tutela.ledger.signing import Cosigner, verified_by
from tutela.ledger.store.durable import alone, make_folders, replace
from tutela.ledger.store.folder import Folder
from tutela.ledger.store.fresh import fresh
from tutela.ledger.store.keys import read_key, write_key
from tutela.ledger.witness import Request, authentic, check_continues, request_for
from tutela.record import replace as changed

KEY, VKEY, LOGS, SEEN, MISBEHAVIOUR = "key", "vkey", "logs", "seen", "misbehaviour"
MAX_FORKS = 100
"""Proofs kept of one log: one is enough, and a log that signs at will must not fill the disk."""
MAX_LOGS_BYTES = 1 << 20


def create(folder: Path, name: str) -> Seen:
    """A new witness with a new key; raises MisuseError where something stands already."""
    cosigner = Cosigner.new(name)
    key = cosigner.key
    with fresh(Text("见证人", "witness"), folder):
        for below in (SEEN, MISBEHAVIOUR):
            make_folders(folder / below)
        replace(folder / VKEY, f"{key.vkey}\n".encode())
        # The key comes last: without it the folder is no witness.
        write_key(folder / KEY, cosigner)
    return Seen(folder)


class Seen:
    """A witness's folder; any number of threads and processes may hold it at once."""

    def __init__(self, folder: Path, now: Callable[[], float] = time.time) -> None:
        self.folder = folder
        self._now = now
        key = read_key(
            folder / KEY,
            Text(
                f"{folder / KEY} 不存在：这里没有见证人（先用 tutela ledger witness {folder} --init 名称）",
                f"{folder / KEY} does not exist: there is no witness here (begin with tutela ledger witness {folder} --init NAME)",
            ),
        )
        if not isinstance(key, Cosigner):
            raise MalformedError(Text(f"{folder / KEY} 是账本的密钥，不是见证人的", f"{folder / KEY} is a ledger's key, not a witness's"))
        self.cosigner = key

    # ------------------------------------------------------------------ the logs it knows

    @property
    def keys(self) -> tuple[VerifierKey, ...]:
        """Of the logs it knows; a log's origin is its key's name."""
        try:
            content = Folder(self.folder).read(LOGS, MAX_LOGS_BYTES).decode("utf-8", "replace")
        except MissingError:
            return ()
        try:
            return tuple(parse_vkey(line) for line in content.split("\n") if line)
        except MalformedError as problem:
            raise DamagedError(Text(f"{self.folder / LOGS}：{problem.message.zh}", f"{self.folder / LOGS}: {problem.message.en}")) from None

    def pin(self, key: VerifierKey) -> None:
        """From now on the log with this key is known; a log may have several, since keys change."""
        if not is_log_key(key):
            raise MisuseError(Text(f"{key.name} 的密钥（类型 {key.kind:#04x}）不是账本的", f"the key of {key.name}, of type {key.kind:#04x}, is no ledger's"))
        with alone(self.folder):
            known = self.keys
            if key not in known:
                replace(self.folder / LOGS, "".join(f"{one.vkey}\n" for one in (*known, key)).encode())

    # ------------------------------------------------------------------ what it saw

    def last(self, origin: str) -> SignedCheckpoint | None:
        """The last checkpoint of a log that it cosigned; raises DamagedError if the record is not what it wrote."""
        try:
            content = self._record(sha256(origin.encode()).hexdigest())
        except MissingError:
            return None
        try:
            found = parse_signed(content)
            verified_by(found.note, (self.cosigner.key,))
        except LedgerError as problem:
            found, why = None, problem.message
        else:
            why = Text("属于别的账本", "it is of another log")
        if found is None or found.checkpoint.origin != origin:
            raise DamagedError(
                Text(
                    f"{self.folder} 里对 {origin} 的记录坏了，不能再见证它：{why.zh}",
                    f"the record of {origin} in {self.folder} is damaged, and it cannot be witnessed any more: {why.en}",
                )
            )
        return found

    def published(self, origin_hash: str) -> bytes:
        """The same as a file for monitors, by the hash of the origin in hexadecimal; raises MissingError."""
        if not re.fullmatch(r"[0-9a-f]{64}", origin_hash):
            raise MissingError(Text("没有这个账本", "there is no such log"))
        # In one's turn: there is a cosignature in it, and the power may fail before its name is durable.
        with alone(self.folder):
            return self._record(origin_hash)

    def _record(self, origin_hash: str) -> bytes:
        return Folder(self.folder / SEEN).read(origin_hash, MAX_NOTE_BYTES)

    def look(self, source: Source) -> tuple[SignedCheckpoint, Signature]:
        """Looks at a log's files, and cosigns what it publishes if that continues what was seen; raises what `request_for` and `add` raise."""
        head = authentic(read_checkpoint(source), self.keys)
        try:
            request = request_for(Log(source, head), self.last(head.checkpoint.origin))
        except TwoHistoriesError as found:
            with alone(self.folder):
                self._keep(found.fork)
            raise
        return head, self.add(request)

    def add(self, request: Request) -> Signature:
        """The cosignature under a checkpoint that continues what was seen.

        Raises what `authentic` and `check_continues` raise; the proof of misbehaviour is kept by then.
        """
        head = authentic(request.head, self.keys)
        with alone(self.folder):
            origin = head.checkpoint.origin
            try:
                check_continues(changed(request, head=head), self.last(origin))
            except TwoHistoriesError as found:
                self._keep(found.fork)
                raise
            # A time of zero would say that the cosigner makes no statement about it.
            signature = self.cosigner.cosign(head.note.text, max(int(self._now()), 1))
            replace(self.folder / SEEN / sha256(origin.encode()).hexdigest(), head.note.with_signatures((signature,)).content)
        return signature

    # ------------------------------------------------------------------ misbehaviour

    def proof_of(self, fork: Fork) -> Path:
        """Where the proof of two histories is kept."""
        return self.folder / MISBEHAVIOUR / f"two-histories-{_origin(fork)}-{sha256(_signed(fork)).hexdigest()[:32]}.txt"

    def _keep(self, fork: Fork) -> None:
        """Keeps the proof of two histories; in one's turn."""
        path = self.proof_of(fork)
        kept = len(list(path.parent.glob(f"two-histories-{_origin(fork)}-*.txt")))
        if not path.exists() and kept < MAX_FORKS:
            replace(path, fork.content)


def _origin(fork: Fork) -> str:
    """The log's name, as far as it can be a file's."""
    return re.sub(r"[^A-Za-z0-9.-]", "_", fork.first.checkpoint.origin)[:80]


def _signed(fork: Fork) -> bytes:
    """What makes one proof another: both texts; signatures and times do not."""
    return fork.first.note.text.encode() + fork.second.note.text.encode() + fork.root
