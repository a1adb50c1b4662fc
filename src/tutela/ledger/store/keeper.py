"""The writer of a log.

A log has two folders. The public one holds what anybody may read (checkpoint, tiles, entries) and can be served as it is. The private one, 0700, holds
the signing key and, beside it, the last checkpoint that this key signed (`state`); it must not be restored from a backup without need.

What one commit does, in this order; each step is durable before the next begins:

    1. entries and tiles that the new checkpoint needs, under names that no signed checkpoint refers to yet
    2. private/state: the new checkpoint, signed. From here on it is what the log says, and nothing older is ever signed again
    3. public/checkpoint: the same, for everybody to see
    4. the appenders get their indices

A crash before 2 leaves files that the next commit writes over; a crash after 2 is finished by whoever opens the log next. A public folder that is older
than the state and lacks its tiles was restored from a backup, and is refused: to go on from it would be a second history.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from tutela.language import Text
from tutela.ledger.checkpoint import Checkpoint, SignedCheckpoint, parse_signed
from tutela.ledger.entry import Record, parse_entry
from tutela.ledger.log import CHECKPOINT, COSIGNED, VKEY, Log, read_checkpoint, read_cosigned, read_tile
from tutela.ledger.merkle import EMPTY_ROOT, MAX_SIZE, check_consistency, leaf_hash, root_of
from tutela.ledger.note import MAX_NOTE_BYTES, Note, VerifierKey, parse_note
from tutela.ledger.refused import ConsistencyError, DamagedError, MalformedError, MissingError, MisuseError, RollbackError, UnsignedError
from tutela.ledger.signing import Ed25519Signer, Signer, verified_by
from tutela.ledger.sm2 import Sm2Signer
from tutela.ledger.store.durable import alone, make_folders, opened, replace, sync_folder, write_new
from tutela.ledger.store.folder import Folder
from tutela.ledger.store.fresh import fresh
from tutela.ledger.store.keys import read_key, write_key
from tutela.ledger.store.known import Known
from tutela.ledger.store.spool import Spool
from tutela.ledger.tiles import ENTRIES, HEIGHT, WIDTH, Tile, bundle_of, edge_of, entries_in, hashes_in, levels, root_of_edge

KEY, SM2_KEY, STATE, KNOWN, PENDING, SALTS = "key", "key.sm2", "state", "known", "pending", "salts"
_SHORTEST_S, _LONGEST_S = 0.0003, 0.010
"""How long an appender that waits sleeps until it asks again."""


def private_beside(public: Path) -> Path:
    """Where the private folder is unless one says otherwise; raises MisuseError where nothing can lie beside."""
    # Whoever stands in the folder calls it a dot.
    folder = public if public.name not in ("", "..") else public.resolve()
    if not folder.name:
        raise MisuseError(
            Text(f"{public} 旁边放不下私有文件夹：账本请另用一个文件夹", f"no private folder can lie beside {public}: use another folder for the ledger")
        )
    return folder.with_name(f"{folder.name}.private")


def create(public: Path, private: Path, origin: str, *, sm2: bool = False) -> Ledger:
    """A new, empty log with a new key, or with `sm2` two; raises MisuseError where something stands already, or where the key would be published."""
    one, other = public.resolve(), private.resolve()
    if one == other or one in other.parents or other in one.parents:
        raise MisuseError(
            Text(
                f"{public} 要发布，{private} 里有密钥：两者不能是同一个文件夹，也不能一个在另一个之内",
                f"{public} is to be published and {private} holds the key: they must not be one folder, nor one lie in the other",
            )
        )
    signer = Ed25519Signer.new(origin)
    signers: tuple[Ed25519Signer | Sm2Signer, ...] = (signer, Sm2Signer.new(origin)) if sm2 else (signer,)
    keys = "".join(f"{one.key.vkey}\n" for one in signers)
    empty = _signed(Checkpoint(origin, 0, EMPTY_ROOT), signers)
    with fresh(Text("账本", "ledger"), public, private):
        for name in (PENDING, SALTS):
            make_folders(private / name)
        replace(public / VKEY, keys.encode())
        replace(private / STATE, empty.content, 0o600)
        # The key comes last: without it the folder is no ledger.
        for signs, name in reversed(list(zip(signers, (KEY, SM2_KEY), strict=False))):
            write_key(private / name, signs)
        replace(public / CHECKPOINT, empty.content)
    return Ledger(public, private)


def _locked(lock: int) -> bool:
    """Takes the lock if nobody has it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _signed(checkpoint: Checkpoint, signers: Sequence[Signer]) -> SignedCheckpoint:
    return SignedCheckpoint(checkpoint, Note(checkpoint.text, tuple(one.sign(checkpoint.text) for one in signers)))


def _joined(held: SignedCheckpoint | None, head: SignedCheckpoint) -> bytes:
    """The checkpoint's file with the signatures of both, where both are the same checkpoint; raises MalformedError if they are too many."""
    note = head.note
    if held and held.note.text == note.text:
        note = held.note.with_signatures(tuple(one for one in note.signatures if one not in held.note.signatures))
    parse_note(note.content)
    return note.content


class Ledger:
    """A log that can be written; any number of threads and processes may hold one over the same folders."""

    def __init__(self, public: Path, private: Path, now: Callable[[], float] = time.time) -> None:
        self.public, self.private = public, private
        self._now = now
        self._signers = _signers(private)
        self._folder = Folder(public)
        self._known = Known(private / KNOWN, self._identity_at)
        self._spool = Spool(private / PENDING)
        self._edge = Edge(0, {}, [])
        self._log: Log | None = None
        self._seen: tuple[object, ...] = ()

    @property
    def keys(self) -> tuple[VerifierKey, ...]:
        """What verifies this log's checkpoints."""
        return tuple(one.key for one in self._signers)

    @property
    def origin(self) -> str:
        """The log's name."""
        return self._signers[0].key.name

    def head(self) -> SignedCheckpoint:
        """The newest checkpoint, as it is published once a commit that a crash cut off is finished."""
        with alone(self.private):
            self._settle()
            return self._published()

    def log(self) -> Log:
        """The log for reading, at its newest checkpoint."""
        return Log(self._folder, self.head())

    def append(self, records: Sequence[Record]) -> list[int]:
        """Logs records and gives their indices, once entries, tiles, checkpoint and folders are durable.

        A record that is logged already is not logged again: its first index comes back. Safe to call from many threads and processes at once:
        whoever has the lock logs what all of them have handed in. After an error, records may be logged all the same; to append them again is safe.
        """
        if not records:
            return []
        with opened(self.private) as lock:
            if not _locked(lock):
                with self._spool.hand_in(records) as handed:
                    began = time.monotonic()
                    while not _locked(lock):
                        # Asked again and again: were they woken by the lock, all who wait would have to take it in turn, only to hear that they are done.
                        waited = time.monotonic() - began
                        time.sleep(min(_SHORTEST_S + waited / 8, _LONGEST_S))
                        if (indices := handed.indices()) is not None:
                            return indices
                    if (indices := handed.indices()) is not None:
                        return indices
            self._settle()
            return self._commit(records)

    def add_cosignatures(self, head: SignedCheckpoint, *, enough: bool) -> None:
        """Publishes a checkpoint of this log with the cosignatures under it, which the caller has verified.

        They go to the published checkpoint, if that is still the one, and to the file that keeps the newest cosigned one while the log grows on. There an older one
        stays until `enough` witnesses have cosigned the newer. Raises UnsignedError, RollbackError or ConsistencyError if the checkpoint is not one of this log's.
        """
        verified_by(head.note, self.keys)
        with alone(self.private):
            self._settle()
            public = self._published()
            if head.checkpoint.size > public.checkpoint.size:
                raise RollbackError(
                    Text(
                        f"{self.public} 只到 {public.checkpoint.size} 条，见证的检查点有 {head.checkpoint.size} 条",
                        f"{self.public} ends at {public.checkpoint.size} entries, the checkpoint that was cosigned has {head.checkpoint.size}",
                    )
                )
            old, new = head.checkpoint, public.checkpoint
            # Where both folders came from a backup, this may be of a history that was lost.
            check_consistency(old.size, old.root, new.size, new.root, Log(self._folder, public).consistency(old.size))
            held = read_cosigned(self._folder)
            if held is None or held.note.text == head.note.text or (enough and held.checkpoint.size < head.checkpoint.size):
                replace(self.public / COSIGNED, _joined(held, head))
            if public.note.text == head.note.text:
                replace(self.public / CHECKPOINT, _joined(public, head))
            self._seen = self._marks()

    # ------------------------------------------------------------------ before a commit

    def _settle(self) -> None:
        """Sees what others have written, and finishes what a crash has cut off."""
        if self._marks() == self._seen:
            return
        state = self._state()
        public = self._public(state)
        if public is None or public.note.text != state.note.text:
            state = self._agreed(state, public)
        self._edge = self._read_edge(state.checkpoint)
        self._log = Log(self._folder, state)
        self._known.refresh()
        behind = public is None or public.checkpoint.size < self._edge.size
        # Records are entered into the table once the checkpoint is published for good: if some are missing, whoever signed it did not come that far.
        if behind or self._known.covered != self._edge.size:
            sync_folder(self.private)
            if behind:
                replace(self.public / CHECKPOINT, state.content)
            else:
                sync_folder(self.public)
            self._catch_up()
        self._seen = self._marks()

    def _marks(self) -> tuple[object, ...]:
        """What changes when anybody writes. By content: a file's number and time may be those of the one before the last."""
        try:
            return (self.private / STATE).read_bytes(), self._folder.read(CHECKPOINT, MAX_NOTE_BYTES), (self.private / KNOWN).stat().st_ino
        except (FileNotFoundError, MissingError):
            return (object(),)

    def _state(self) -> SignedCheckpoint:
        path, published = self.private / STATE, self.public / CHECKPOINT
        again = Text(
            f"若能肯定 {published} 是最后发布的检查点，把它复制为这个文件；不能肯定就先问见证人见过多少条",
            f"If {published} is certainly the newest that was ever published, copy it to this file; if not, ask the witnesses first how many entries they saw",
        )
        try:
            state = parse_signed(path.read_bytes())
            verified_by(state.note, self.keys)
        except FileNotFoundError:
            raise MissingError(
                Text(
                    f"{path} 不在了：不知道这把密钥签到了哪里，不能再签。{again.zh}",
                    f"{path} is gone: what this key signed last is unknown, so it must not sign. {again.en}",
                )
            ) from None
        except (MalformedError, UnsignedError) as problem:
            raise DamagedError(
                Text(
                    f"{path} 已损坏（{problem.message.zh}）：不知道这把密钥签到了哪里，不能再签。{again.zh}",
                    f"{path} is damaged ({problem.message.en}): what this key signed last is unknown, so it must not sign. {again.en}",
                )
            ) from None
        if sum(one.name == self.origin for one in state.note.signatures) > len(self._signers):
            # Whoever pins the second key alone would not accept another checkpoint.
            second = self.private / SM2_KEY
            raise MissingError(
                Text(
                    f"{second} 不在了，而这本账一直也用它签名；请从备份恢复这个文件",
                    f"{second} is gone, with which this ledger signed as well; restore this file from a backup",
                )
            )
        return state

    def _public(self, state: SignedCheckpoint) -> SignedCheckpoint | None:
        try:
            content = self._folder.read(CHECKPOINT, MAX_NOTE_BYTES)
        except MissingError:
            return None
        if content == state.content:
            return state
        try:
            found = parse_signed(content)
            verified_by(found.note, self.keys)
        except (MalformedError, UnsignedError) as problem:
            path, last = self.public / CHECKPOINT, self.private / STATE
            raise DamagedError(
                Text(
                    f"{path} 已损坏（{problem.message.zh}）。若能肯定 {last} 没有从备份恢复过，把它移走，下次追加时会重新发布",
                    f"{path} is damaged ({problem.message.en}). If {last} was certainly not restored from a backup, "
                    "move the damaged one away, and the next append publishes it anew",
                )
            ) from None
        return found

    def _published(self) -> SignedCheckpoint:
        return read_checkpoint(self._folder)

    def _agreed(self, state: SignedCheckpoint, public: SignedCheckpoint | None) -> SignedCheckpoint:
        """The newer of the state and the published checkpoint, which differ; raises RollbackError or Inconsistent."""
        if public is None or public.checkpoint.size < state.checkpoint.size:
            try:
                self._read_edge(state.checkpoint)
            except (MissingError, DamagedError):
                was = public.checkpoint.size if public else 0
                raise RollbackError(
                    Text(
                        f"{self.public} 只到 {was} 条，但这把密钥已签到 {state.checkpoint.size} 条：文件夹像是从备份恢复的。请找回较新的文件夹，不要从旧的写下去",
                        f"{self.public} ends at {was} entries, but this key has signed {state.checkpoint.size}: the folder looks restored from a backup. "
                        "Bring the newer folder back; do not go on from the older one",
                    )
                ) from None
            return state
        older, newer = state.checkpoint, public.checkpoint
        log = Log(self._folder, public)
        check_consistency(older.size, older.root, newer.size, newer.root, log.consistency(older.size))
        if older.size == newer.size:
            raise ConsistencyError(Text("检查点条数相同而内容不同", "two checkpoints have the same size and say different things"))
        # The private folder was restored from a backup: the published checkpoint is newer, ours, and goes on from it.
        replace(self.private / STATE, public.content, 0o600)
        return public

    def _read_edge(self, head: Checkpoint) -> Edge:
        """The right edge of the tree, checked against its root: what a commit builds on is what was signed."""
        hashes = {tile.level: hashes_in(read_tile(self._folder, tile), tile) for tile in edge_of(head.size)}
        entries: list[bytes] = []
        if head.size % WIDTH:
            last = Tile(ENTRIES, head.size // WIDTH, head.size % WIDTH)
            entries = entries_in(read_tile(self._folder, last), last)
        if root_of_edge(head.size, hashes) != head.root or [leaf_hash(one) for one in entries] != hashes.get(0, []):
            raise DamagedError(
                Text(
                    f"{self.public} 的瓦片与签过的根不符（{head.size} 条）：用 tutela ledger fsck 查看",
                    f"the tiles in {self.public} do not give the root that was signed ({head.size} entries): see tutela ledger fsck",
                )
            )
        return Edge(head.size, hashes, entries)

    def _catch_up(self) -> None:
        """Enters into the table what is logged and not in it yet."""
        size = self._edge.size
        if self._known.covered > size:
            self._known.restart()
        while self._known.covered < size:
            first = self._known.covered
            until = min(size, (first // WIDTH + 1) * WIDTH)
            self._known.add([self._identity_at(index) for index in range(first, until)], first)

    def _identity_at(self, index: int) -> bytes:
        if self._log is None or index >= self._log.size:
            return b""
        return parse_entry(self._log.entry(index)).record.identity

    # ------------------------------------------------------------------ a commit

    def _commit(self, own: Sequence[Record]) -> list[int]:
        """Logs `own` and what others have handed in; gives the indices of `own`."""
        waiting = self._spool.take()
        indices: dict[bytes, int] = {}
        fresh: dict[bytes, Record] = {}
        answers = []
        for records in (own, *(one.records for one in waiting)):
            identities = [one.identity for one in records]
            for identity, record in zip(identities, records, strict=True):
                if identity not in indices:
                    index = self._known.find(identity)
                    if index is None:
                        index = self._edge.size + len(fresh)
                        fresh[identity] = record
                    indices[identity] = index
            answers.append([indices[identity] for identity in identities])
        if fresh:
            logged = int(self._now())
            self._write([one.entry(logged) for one in fresh.values()], list(fresh))
        for one, answer in zip(waiting, answers[1:], strict=True):
            one.answer(answer)
        return answers[0]

    def _write(self, entries: list[bytes], identities: list[bytes]) -> None:
        if self._edge.size + len(entries) > MAX_SIZE:
            raise MisuseError(Text("账本已满", "the ledger is full"))
        first = self._edge.size
        edge, files = self._edge.grown(entries)
        self._remove_unsigned(files)
        write_new(self.public, [(self.public / tile.path, content) for tile, content in files])
        head = _signed(Checkpoint(self.origin, edge.size, edge.root), self._signers)
        replace(self.private / STATE, head.content, 0o600)
        replace(self.public / CHECKPOINT, head.content)
        self._edge, self._log = edge, Log(self._folder, head)
        self._known.add(identities, first)
        self._catch_up()
        self._seen = self._marks()
        self._tidy(files)

    def _remove_unsigned(self, files: Sequence[tuple[Tile, bytes]]) -> None:
        """Removes what an append that was cut off left in the place of the new checkpoint's partial tiles: those between it and the last one, and full ones.

        No checkpoint refers to them, and they may hold something else than what is there now: they would look like a second history. A full one is asked for
        by whoever finds that a partial one is gone.
        """
        for tile, _ in files:
            if tile.partial:
                (self.public / Tile(tile.level, tile.number, WIDTH).path).unlink(missing_ok=True)
                signed = max((self._edge.size >> 8 * max(tile.level, 0)) - tile.number * WIDTH, 0)
                if tile.width - signed > 1:
                    folder = (self.public / tile.path).parent
                    with suppress(FileNotFoundError), os.scandir(folder) as held:
                        for partial in held:
                            if not folder.is_symlink() and partial.name.isdecimal() and signed < int(partial.name) < tile.width:
                                Path(partial.path).unlink()

    def _tidy(self, files: Sequence[tuple[Tile, bytes]]) -> None:
        """Removes the partial tiles of those that are full now: the full one holds what they held."""
        for tile, _ in files:
            if not tile.partial:
                folder = self.public / f"{tile.path}.p"
                with suppress(OSError):
                    # Nothing but partial tiles: whoever else may write here could have put a link to other folders in its place.
                    for partial in folder.iterdir():
                        if partial.name.isdecimal() and not folder.is_symlink():
                            partial.unlink()
                    folder.rmdir()


class Edge:
    """The right edge of a tree: what is needed to add to it, a partial tile a level and the entries of the last bundle."""

    def __init__(self, size: int, hashes: dict[int, list[bytes]], entries: list[bytes]) -> None:
        self.size, self.hashes, self.entries = size, hashes, entries

    @property
    def root(self) -> bytes:
        """The tree's root."""
        return root_of_edge(self.size, self.hashes)

    def grown(self, entries: Sequence[bytes]) -> tuple[Edge, list[tuple[Tile, bytes]]]:
        """The edge with `entries` added, and the files that the larger tree has and this one has not."""
        size = self.size
        rows = {level: list(held) for level, held in self.hashes.items()}
        last = list(self.entries)
        files: list[tuple[Tile, bytes]] = []
        done = 0
        while done < len(entries):
            some = entries[done : done + WIDTH - len(last)]
            done += len(some)
            size += len(some)
            last += some
            rows.setdefault(0, []).extend(map(leaf_hash, some))
            if len(last) == WIDTH:
                files.append((Tile(ENTRIES, (size - 1) // WIDTH, WIDTH), bundle_of(last)))
                last = []
            level = 0
            while len(rows[level]) == WIDTH:
                row, rows[level] = rows[level], []
                files.append((Tile(level, (size - 1) >> HEIGHT * (level + 1), WIDTH), b"".join(row)))
                level += 1
                rows.setdefault(level, []).append(root_of(row))
        if last:
            files.append((Tile(ENTRIES, size // WIDTH, len(last)), bundle_of(last)))
        for level in range(levels(size)):
            row = rows.get(level, [])
            if row and size >> HEIGHT * level != self.size >> HEIGHT * level:
                files.append((Tile(level, (size >> HEIGHT * level) // WIDTH, len(row)), b"".join(row)))
        return Edge(size, rows, last), files


def _signers(private: Path) -> tuple[Signer, ...]:
    """The log's key, and the one for SM2 if there is one."""
    path, second = private / KEY, private / SM2_KEY
    absent = Text(f"{path} 不存在：这里没有账本（先用 tutela ledger init）", f"{path} does not exist: there is no ledger here (begin with tutela ledger init)")
    signer = read_key(path, absent)
    if not isinstance(signer, Ed25519Signer):
        raise MalformedError(Text(f"{path} 不是账本的密钥（Ed25519）", f"{path} is no ledger's key (Ed25519)"))
    if not second.exists():
        return (signer,)
    other = read_key(second, absent)
    if not isinstance(other, Sm2Signer) or other.name != signer.name:
        raise MalformedError(Text(f"{second} 不是这本账的 SM2 密钥", f"{second} is no SM2 key of this ledger"))
    return (signer, other)
