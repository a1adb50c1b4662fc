"""Logs made without the writer: entries, their files by the definition, and a checkpoint signed with a key that is no secret."""

from __future__ import annotations

from functools import cache

from tests.ledger import naive
from tutela.ledger.checkpoint import Checkpoint
from tutela.ledger.entry import Kind, digest, new_record
from tutela.ledger.note import Note
from tutela.ledger.refused import DamagedError, MissingError
from tutela.ledger.signing import Ed25519Signer

ORIGIN = "ledger.example/centre"
SIGNER = Ed25519Signer(ORIGIN, bytes(range(32)))
START = 1_700_000_000


def entry(number: int | str, logged: int = START) -> bytes:
    return new_record(Kind.DOCUMENT, digest(str(number).encode()), START - 100, START - 10).entry(logged)


@cache
def entries(count: int) -> list[bytes]:
    return [entry(i, START + i // 7) for i in range(count)]


def checkpoint(leaves: list[bytes], signer: Ed25519Signer = SIGNER) -> bytes:
    text = Checkpoint(signer.name, len(leaves), naive.root(leaves)).text
    return Note(text, (signer.sign(text),)).content


def files(held: list[bytes]) -> dict[str, bytes]:
    """A whole log of these entries."""
    return {**naive.files(held), "checkpoint": checkpoint([naive.leaf(one) for one in held]), "vkey": f"{SIGNER.key.vkey}\n".encode()}


class Memory:
    """A log's files, without a disk."""

    place = "memory"

    def __init__(self, held: dict[str, bytes]) -> None:
        self.held = held

    def read(self, path: str, limit: int) -> bytes:
        if path not in self.held:
            raise MissingError(f"{path}: there is no such file")
        if len(self.held[path]) > limit:
            raise DamagedError(f"{path}: more than {limit} bytes")
        return self.held[path]
