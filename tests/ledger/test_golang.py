"""Others' verifiers: golang.org/x/mod/sumdb (the Go project's, BSD) reads our logs, and we read what it makes."""

from __future__ import annotations

import base64
import json
import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.ledger import made, naive
from tutela.ledger.checkpoint import parse_signed
from tutela.ledger.entry import Kind, digest, new_record
from tutela.ledger.log import Log
from tutela.ledger.merkle import check_consistency, check_inclusion, leaf_hash, prove_consistency, prove_inclusion, root_of
from tutela.ledger.note import parse_vkey
from tutela.ledger.refused import LedgerError
from tutela.ledger.signing import Cosigner, parse_private_key, private_key, verified_by
from tutela.ledger.store.folder import Folder
from tutela.ledger.store.keeper import create

GOPATH = Path("/usr/share/gocode")
pytestmark = pytest.mark.program("go")


@pytest.fixture(scope="module")
def sumdb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """tests/ledger/golang/main.go, built without a network."""
    place = tmp_path_factory.mktemp("golang")
    environment = {"PATH": os.environ["PATH"], "HOME": str(place), "GO111MODULE": "off", "GOPATH": str(GOPATH), "GOCACHE": str(place / "cache")}
    source = Path(__file__).parent / "golang" / "main.go"
    subprocess.run(["go", "build", "-o", place / "sumdb", source], env=environment, cwd=place, check=True)
    shutil.rmtree(place / "cache")
    return place / "sumdb"


def told(program: Path, *words: object) -> str:
    done = subprocess.run([program, *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("seed", range(4))
def test_go_verifies_a_log_that_grew_by_batches(sumdb: Path, tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    ledger = create(tmp_path / "log", tmp_path / "log.private", made.ORIGIN)
    for round_ in range(5):
        more = chance.choice([1, 2, 7, 255, 256, 257, chance.randrange(1, 900)])
        ledger.append([new_record(Kind.SCAN, digest(f"{round_} {i}".encode()), made.START, made.START) for i in range(more)])
        head = ledger.head().checkpoint
        assert told(sumdb, "log", ledger.public, ledger.keys[0].vkey, seed) == f"{head.origin} {head.size} {base64.b64encode(head.root).decode()}\n"


@pytest.mark.parametrize("size", [1, 255, 256, 257, 65_535, 65_536, 70_000])
def test_go_verifies_a_log_of_any_size_with_cosignatures_it_does_not_know(sumdb: Path, tmp_path: Path, size: int) -> None:
    files = made.files(made.entries(size))
    text = parse_signed(files["checkpoint"]).note.text
    cosigned = files["checkpoint"] + Cosigner("witness.example/w1", bytes(32)).cosign(text, made.START).line.encode()
    naive.write(tmp_path, {**files, "checkpoint": cosigned})
    assert told(sumdb, "log", tmp_path, made.SIGNER.key.vkey, 1).startswith(f"{made.ORIGIN} {size} ")


def test_go_refuses_what_was_tampered_with_as_we_do(sumdb: Path, tmp_path: Path) -> None:
    files = made.files(made.entries(600))
    for path in ("checkpoint", "tile/0/000", "tile/0/002.p/88", "tile/1/000.p/2", "tile/entries/001"):
        content = files[path]
        # Every entry, since Go looks at some only; or one bit of the first hash, or of the root.
        wrong = content.replace(b"document", b"segments") if "entries" in path else content[:30] + bytes([content[30] ^ 1]) + content[31:]
        naive.write(tmp_path, {**files, path: wrong})
        done = subprocess.run([sumdb, "log", tmp_path, made.SIGNER.key.vkey, "1"], capture_output=True, text=True, check=False)
        assert done.returncode == 1, path
        with pytest.raises(LedgerError):
            head = parse_signed((tmp_path / "checkpoint").read_bytes())
            verified_by(head.note, (made.SIGNER.key,))
            log = Log(Folder(tmp_path), head)
            for index in range(600):
                log.proof(index)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 100, 255, 256, 257, 1000, 5000])
def test_we_verify_and_make_what_go_made(sumdb: Path, size: int) -> None:
    said = json.loads(told(sumdb, "make", "go.example/log", size))
    head = parse_signed(said["checkpoint"].encode())
    (signed,) = verified_by(head.note, (parse_vkey(said["vkey"]),))
    assert (head.checkpoint.origin, head.checkpoint.size, signed.key.vkey) == ("go.example/log", size, said["vkey"])
    # Go's private key is read and written, and signs the same bytes.
    signer = parse_private_key(said["skey"])
    assert private_key(signer) == said["skey"]
    assert not isinstance(signer, Cosigner)
    assert head.note.signatures == (signer.sign(head.note.text),)

    leaves = [leaf_hash(f"entry {i}".encode()) for i in range(size)]
    root = head.checkpoint.root
    assert root_of(leaves) == root
    assert said["inclusion"]
    for one in said["inclusion"]:
        proof = [base64.b64decode(each) for each in one["Hashes"]]
        check_inclusion(leaves[one["First"]], one["First"], size, proof, root)
        assert prove_inclusion(one["First"], size, lambda start, end: root_of(leaves[start:end])) == proof
    for one in said["consistency"]:
        proof = [base64.b64decode(each) for each in one["Hashes"]]
        check_consistency(one["First"], base64.b64decode(one["Root"]), size, root, proof)
        assert prove_consistency(one["First"], size, lambda start, end: root_of(leaves[start:end])) == proof
