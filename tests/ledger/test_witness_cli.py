"""`tutela ledger witness` and `checkpoint` as both sides type them: over files, over a folder, over HTTP."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tutela.cli import main
from tutela.ledger.checkpoint import SignedCheckpoint, parse_signed
from tutela.ledger.entry import Kind, digest, new_record
from tutela.ledger.fork import Fork, parse_fork
from tutela.ledger.log import Log
from tutela.ledger.note import Note, parse_vkey
from tutela.ledger.policy import parse_policy
from tutela.ledger.refused import RollbackError, UnsignedError
from tutela.ledger.signing import Cosigner, Ed25519Signer, verified_by
from tutela.ledger.store.folder import Folder
from tutela.ledger.store.keeper import Ledger, create

ROOT = Path(__file__).parents[2]
Run = Callable[..., tuple[int, str, str]]
Serve = Callable[[str], str]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("TUTELA_LANG", "en")
    monkeypatch.chdir(tmp_path)

    def typed(*words: object) -> tuple[int, str, str]:
        try:
            status = main(["ledger", *map(str, words)])
        except SystemExit as ended:
            status = int(ended.code or 0)
        return status, *capsys.readouterr()

    return typed


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts `witness --serve` in a process of its own; its URL."""
    started: list[subprocess.Popen[str]] = []

    def start(folder: str) -> str:
        server = subprocess.Popen(
            [sys.executable, "-m", "tutela", "ledger", "witness", folder, "--serve", "127.0.0.1:0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "TUTELA_LANG": "en"},
        )
        started.append(server)
        assert server.stderr is not None
        return server.stderr.readline().split(" serves at ")[1].strip()

    yield start
    for one in started:
        one.send_signal(signal.SIGTERM)
        out, err = one.communicate(timeout=30)
        assert (one.returncode, out) == (0, "")
        assert "Traceback" not in err


def grow(count: int, name: str = "log") -> Ledger:
    ledger = Ledger(Path(name), Path(f"{name}.private"))
    first = ledger.head().checkpoint.size
    ledger.append([new_record(Kind.DOCUMENT, digest(f"{name}{i}".encode()), 1_700_000_000, 1_700_000_000) for i in range(first, first + count)])
    return ledger


@pytest.fixture
def log(run: Run) -> Ledger:
    create(Path("log"), Path("log.private"), "ledger.example/centre")
    return grow(3)


def new_witness(run: Run, name: str) -> str:
    status, out, err = run("witness", name, "--init", f"owner.example/{name}")
    assert (status, err) == (0, "made the witness. Its verifier key, for the other side's policy:\n")
    assert parse_vkey(out.strip()).name == f"owner.example/{name}"
    assert out == Path(name, "vkey").read_text()
    return out.strip()


def policy(*lines: str) -> None:
    Path("policy").write_text("".join(f"{line}\n" for line in lines))


def test_a_witness_without_a_network_cosigns_what_is_carried_to_it_and_back(run: Run, log: Ledger) -> None:
    policy(f"witness W {new_witness(run, 'w')}", "quorum W")
    status, out, err = run("witness", "w", "--key", "log/vkey")
    assert (status, out, err) == (0, "", f"pinned the ledger {log.keys[0].vkey}\n")

    for known, size in ((0, 3), (3, 300)):
        grow(size - log.log().size)
        Path("request").write_text(run("checkpoint", "log", "--from", known)[1])
        status, out, err = run("witness", "w", "request", "--output", "line")
        assert (status, out, err) == (0, "", f"cosigned ledger.example/centre: {size} entries\n")
        status, out, err = run("checkpoint", "log", "--cosign", "policy", "--add", "line")
        assert (status, out) == (0, Path("log/checkpoint").read_text())
        assert err.startswith(f"W has cosigned {size} entries (20")
        assert Path("log/cosigned").read_bytes() == Path("log/checkpoint").read_bytes()

    # A log that has grown on in the meantime: the line and what was handed out belong together.
    grow(1)
    Path("request").write_text(run("checkpoint", "log", "--from", "300")[1])
    run("witness", "w", "request", "--output", "line")
    grow(1)
    status, _, err = run("checkpoint", "log", "--cosign", "policy", "--add", "line")
    assert status == 1
    assert "append the line to the file that was handed out, and add that" in err
    Path("whole").write_bytes(Path("request").read_bytes() + Path("line").read_bytes())
    status, _, err = run("checkpoint", "log", "--cosign", "policy", "--add", "whole")
    assert (status, err.split(" (")[0]) == (0, "W has cosigned 301 entries")
    assert parse_signed(Path("log/cosigned").read_bytes()).checkpoint.size == 301
    assert parse_signed(Path("log/checkpoint").read_bytes()).checkpoint.size == 302


def test_a_bare_checkpoint_will_do_the_first_time_and_at_the_same_size(run: Run, log: Ledger) -> None:
    new_witness(run, "w")
    Path("head").write_text(run("checkpoint", "log")[1])
    status, _, err = run("witness", "w", "head")
    assert (status, err) == (
        1,
        (
            "tutela: the log 'ledger.example/centre' is not known here: give the verifier key that was handed to you with --key; "
            "for a folder or URL also --trust-on-first-use\n"
        ),
    )
    for _ in range(2):
        assert run("witness", "w", "head", "--key", "log/vkey")[0] == 0
    grow(1)
    Path("head").write_text(run("checkpoint", "log")[1])
    status, _, err = run("witness", "w", "head")
    assert (status, "have another one made by tutela ledger checkpoint DIR --from 3" in err) == (1, True)
    assert "the file proves from 0 on" in err


def test_a_witness_looks_at_a_folder_and_trusts_only_when_told_to(run: Run, log: Ledger) -> None:
    new_witness(run, "w")
    assert run("witness", "w", "log")[0] == 1
    status, out, err = run("witness", "w", "log", "--trust-on-first-use")
    assert status == 0
    assert err.splitlines() == [
        f"trusted on first use and pinned; compare this key with the ledger's keeper: {log.keys[0].vkey}",
        "cosigned ledger.example/centre: 3 entries",
    ]
    verified_by(Note(log.head().note.text, parse_signed(log.head().content + out.encode()).note.signatures), (parse_vkey(Path("w/vkey").read_text().strip()),))
    # Another key in the same name is not trusted any more, whatever one says.
    create(Path("other"), Path("other.private"), "ledger.example/centre")
    status, _, err = run("witness", "w", "other", "--trust-on-first-use")
    assert (status, "no trusted key signed this" in err) == (1, True)
    assert Path("w/logs").read_text() == f"{log.keys[0].vkey}\n"


def test_a_key_that_did_not_sign_what_is_shown_is_not_pinned(run: Run, log: Ledger) -> None:
    new_witness(run, "w")
    for other in (Cosigner("x", bytes(32)), Ed25519Signer("ledger.example/centre", bytes(32)), Ed25519Signer("other.example", bytes(32))):
        Path("log/vkey").write_text(other.key.vkey)
        assert run("witness", "w", "log", "--trust-on-first-use")[0] == 1
        assert not Path("w/logs").exists()


def test_a_log_does_not_have_others_trusted_with_it(run: Run, log: Ledger) -> None:
    new_witness(run, "w")
    own = log.keys[0].vkey
    Path("log/vkey").write_text(f"{Ed25519Signer('other.example', bytes(32)).key.vkey}\n{own}\n")
    assert run("witness", "w", "log", "--trust-on-first-use")[0] == 0
    assert Path("w/logs").read_text() == f"{own}\n"


def test_two_histories_are_found_kept_and_proven_to_others_offline(run: Run, log: Ledger) -> None:
    new_witness(run, "w")
    shutil.copytree("log", "fork")
    shutil.copytree("log.private", "fork.private")
    grow(2)
    grow(40, "fork")
    assert run("witness", "w", "log", "--key", "log/vkey")[0] == 0
    status, out, err = run("witness", "w", "fork")
    assert (status, out) == (2, "")
    said, kept = err.splitlines()
    assert said.startswith("ledger.example/centre has signed two histories: at 5 entries the root was ")
    assert kept.startswith("not cosigned. The proof is kept: w/misbehaviour/two-histories-ledger.example_centre-")
    proof = kept.rpartition(" ")[2]

    # The owner shows it to a third party, which has the ledger's key and nothing else.
    key = log.keys[0].vkey
    Path("shown").write_bytes(Path(proof).read_bytes())
    for gone in ("log", "fork", "w"):
        Path(gone).rename(f"gone-{gone}")
    status, out, _ = run("verify", "shown", "--key", key)
    assert (status, out.startswith("the proof holds: ledger.example/centre has signed two histories")) == (0, True)
    content = Path("shown").read_bytes()
    for wrong in (content.replace(b"\n5\n", b"\n6\n"), content.replace(b"root ", b"root A"), content[:-40], content.replace(b"fork 1", b"fork 2")):
        Path("shown").write_bytes(wrong)
        assert run("verify", "shown", "--key", key)[0] != 0
    Path("shown").write_bytes(content)
    status, _, err = run("verify", "shown")
    assert (status, err.startswith("not proven: no trusted key for the ledger 'ledger.example/centre'")) == (3, True)
    policy("quorum none")
    for words in (("shown", "--policy", "policy"), ("gone-log", "--policy", "policy")):
        assert run("verify", *words)[0] == 3
    # Two checkpoints that belong together, in such a file.
    fork = parse_fork(content)
    once = Log(Folder(Path("gone-log")), fork.first)
    Path("shown").write_bytes(Fork(fork.first, fork.first, fork.first.checkpoint.root, tuple(once.consistency(fork.first.checkpoint.size))).content)
    status, _, err = run("verify", "shown", "--key", key)
    assert (status, err) == (2, "does not verify: the two checkpoints agree: this is one history\n")


def test_a_log_that_went_back_and_tiles_that_are_gone_are_neither_cosigned_nor_called_a_fork(run: Run, log: Ledger) -> None:
    new_witness(run, "w")
    shutil.copytree("log", "backup")
    grow(2)
    assert run("witness", "w", "log", "--key", "log/vkey")[0] == 0
    status, out, err = run("witness", "w", "backup")
    assert (status, out, err) == (1, "", "tutela: backup ends at 3 entries, and 5 were seen before: an old copy, or the log was rolled back\n")
    grow(2)
    shutil.rmtree("log/tile")
    status, _, err = run("witness", "w", "log")
    assert (status, "there is no such file" in err) == (1, True)
    assert list(Path("w/misbehaviour").iterdir()) == []


def test_the_policys_witnesses_are_asked_over_http(run: Run, log: Ledger, serve: Serve) -> None:
    keys = {name: new_witness(run, name) for name in ("w1", "w2", "w3")}
    for name in keys:
        run("witness", name, "--key", "log/vkey")
    urls = {name: serve(name) for name in ("w1", "w2")}
    policy(
        f"log {log.keys[0].vkey}",
        f"witness owner {keys['w1']} {urls['w1']}",
        f"witness 中心 {keys['w2']} {urls['w2']}/",
        f"witness third {keys['w3']}",
        "group G 2 owner 中心 third",
        "quorum G",
    )
    for size in (3, 300):
        grow(size - log.log().size)
        status, out, err = run("checkpoint", "log", "--cosign", "policy")
        assert status == 0
        assert [line.split(" (")[0] for line in err.splitlines()] == [f"owner has cosigned {size} entries", f"中心 has cosigned {size} entries"]
        assert out == Path("log/checkpoint").read_text() == Path("log/cosigned").read_text()
        status, out, _ = run("verify", "log", "--policy", "policy")
        assert (status, "witnessed  by owner.example/w1 at 20" in out) == (0, True)

    # A cosignature that does not verify any more is asked for anew.
    good = Path("log/cosigned").read_text()
    for place in (len(good) - 20, good.index("— owner.example/w1") + 40):
        Path("log/cosigned").write_text(good[:place] + ("A" if good[place] != "A" else "B") + good[place + 1 :])
        assert run("checkpoint", "log", "--cosign", "policy")[0] == 0
        assert parse_signed(Path("log/cosigned").read_bytes()).note.text == parse_signed(good.encode()).note.text
        assert set(parse_policy(Path("policy").read_bytes()).cosigned_by(parse_signed(Path("log/cosigned").read_bytes()))) == {"owner", "中心"}

    # The log grows on; who verifies still has the cosigned one.
    grow(1)
    assert run("verify", "log", "--policy", "policy")[0] == 3
    assert parse_signed(Path("log/cosigned").read_bytes()).checkpoint.size == 300

    # So does a receipt, of every entry that this one has.
    for entry, status in ((7, 0), (299, 0), (300, 3)):
        run("prove", "log", entry, "--output", "receipt")
        assert run("verify", "receipt", "--policy", "policy")[0] == status

    # A witness that is away is named, and the older checkpoint with all its witnesses stays.
    policy(
        f"witness owner {keys['w1']} {urls['w1']}",
        f"witness away {keys['w3']} http://127.0.0.1:1/",
        "group G all owner away",
        "quorum G",
    )
    status, _, err = run("checkpoint", "log", "--cosign", "policy")
    assert status == 3
    lines = err.splitlines()
    assert lines[0].startswith("away: http://127.0.0.1:1/add-checkpoint: Connection refused")
    assert lines[1].startswith("owner has cosigned 301 entries (20")
    assert lines[2] == "the quorum of witnesses is not reached: G needs 2 and has 1, without away"
    assert parse_signed(Path("log/cosigned").read_bytes()).checkpoint.size == 300
    assert len(parse_signed(Path("log/checkpoint").read_bytes()).note.signatures) == 2


def test_a_witness_that_knows_more_than_the_log_has_says_so(run: Run, log: Ledger, serve: Serve) -> None:
    key = new_witness(run, "w")
    run("witness", "w", "--key", "log/vkey")
    policy(f"witness W {key} {serve('w')}", "quorum W")
    shutil.copytree("log", "old")
    shutil.copytree("log.private", "old.private")
    grow(2)
    assert run("checkpoint", "log", "--cosign", "policy")[0] == 0
    status, _, err = run("checkpoint", "old", "--cosign", "policy")
    assert status == 3
    assert "W: owner.example/w has cosigned 5 entries, and there are 3 here" in err
    # Both restored from a backup, and written on: the history is another, and the witness keeps the proof.
    Ledger(Path("old"), Path("old.private")).append([new_record(Kind.DOCUMENT, digest(b"new"), 1, 2)] * 1)
    grow(4, "old")
    status, _, err = run("checkpoint", "old", "--cosign", "policy")
    assert (status, "refuses to cosign: HTTP 422" in err) == (3, True)
    assert len(list(Path("w/misbehaviour").iterdir())) == 1


def test_a_cosigned_checkpoint_of_a_lost_history_is_not_published(run: Run, log: Ledger) -> None:
    """Both folders came from a backup, and the log went on: nothing here can tell, until somebody brings what it signed before."""
    for name in ("log", "log.private"):
        shutil.copytree(name, f"backup{name.removeprefix('log')}")
    policy(f"witness W {new_witness(run, 'w')}", "quorum W")
    grow(2)
    Path("request").write_text(run("checkpoint", "log", "--from", "0")[1])
    assert run("witness", "w", "request", "--key", "log/vkey", "--output", "cosignature")[0] == 0
    with Path("request").open("ab") as request:
        request.write(Path("cosignature").read_bytes())
    grow(3, "backup")
    status, _, err = run("checkpoint", "backup", "--cosign", "policy", "--add", "request")
    assert (status, "these are two histories" in err) == (1, True)
    assert not Path("backup/cosigned").exists()


def test_only_cosignatures_that_verify_are_added(run: Run, log: Ledger) -> None:
    key = new_witness(run, "w")
    policy(f"witness W {key}", "quorum W")
    other = Cosigner("owner.example/w", b"o" * 32)
    text = log.head().note.text
    good = other.cosign(text, 5)
    own = parse_vkey(key)
    forged = type(good)(own.name, own.key_id, good.signature)
    for line in (good.line, forged.line):
        Path("line").write_text(line)
        status, _, err = run("checkpoint", "log", "--cosign", "policy", "--add", "line")
        assert (status, "line has no cosignature of the policy's witnesses" in err) == (1, True)
    for content in (b"", b"nonsense", b"old 0\n\nx", b"\xe2\x80\x94 \n", b"x" * 1_000_000):
        Path("line").write_bytes(content)
        status, _, err = run("checkpoint", "log", "--cosign", "policy", "--add", "line")
        assert (status, err.startswith("tutela: line: ")) == (1, True)
    assert not Path("log/cosigned").exists()
    assert Path("log/checkpoint").read_bytes() == log.head().content


def test_a_policy_of_other_logs_asks_nobody(run: Run, log: Ledger) -> None:
    other = create(Path("other"), Path("other.private"), "other.example").keys[0].vkey
    with socket.create_server(("127.0.0.1", 0)) as listener:
        policy(f"log {other}", f"witness W {new_witness(run, 'w')} http://127.0.0.1:{listener.getsockname()[1]}", "quorum none")
        status, _, err = run("checkpoint", "log", "--cosign", "policy")
        assert (status, "no trusted key signed this" in err) == (1, True)
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_the_keeper_publishes_only_its_own_checkpoints_with_cosignatures(log: Ledger) -> None:
    witness = Cosigner("w.example", b"w" * 32)

    def cosigned(head: SignedCheckpoint) -> SignedCheckpoint:
        return SignedCheckpoint(head.checkpoint, head.note.with_signatures((witness.cosign(head.note.text, 5),)))

    foreign = create(Path("other"), Path("other.private"), "ledger.example/centre")
    with pytest.raises(UnsignedError):
        log.add_cosignatures(cosigned(foreign.head()), enough=True)
    shutil.copytree("log", "ahead")
    shutil.copytree("log.private", "ahead.private")
    with pytest.raises(RollbackError, match="ends at 3 entries, the checkpoint that was cosigned has 5"):
        log.add_cosignatures(cosigned(grow(2, "ahead").head()), enough=True)

    # What waits for more witnesses takes nobody's place; what has enough does; an older one never.
    first = log.head()
    log.add_cosignatures(cosigned(first), enough=False)
    grow(2)
    second = log.head()
    log.add_cosignatures(cosigned(second), enough=False)
    assert parse_signed(Path("log/cosigned").read_bytes()).checkpoint.size == 3
    log.add_cosignatures(cosigned(second), enough=True)
    log.add_cosignatures(cosigned(first), enough=True)
    assert parse_signed(Path("log/cosigned").read_bytes()).checkpoint.size == 5
    # Cosignatures of different witnesses add up, and the log goes on being written.
    later = Cosigner("later.example", b"l" * 32)
    log.add_cosignatures(SignedCheckpoint(second.checkpoint, second.note.with_signatures((later.cosign(second.note.text, 6),))), enough=True)
    for path in ("log/cosigned", "log/checkpoint"):
        assert [one.name for one in parse_signed(Path(path).read_bytes()).note.signatures] == ["ledger.example/centre", "w.example", "later.example"]
    assert grow(1).head().checkpoint.size == 6


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("witness", "w"), "which ledger? Name a folder, a URL or a file, or --serve"),
        (("witness", "w", "nowhere"), "cannot read nowhere: No such file or directory"),
        (("witness", "w", "ftp://x/"), "a URL is http:// or https://"),
        (("witness", "w", "http://127.0.0.1:1"), "http://127.0.0.1:1/checkpoint: Connection refused"),
        (("witness", "w", "log/checkpoint", "--trust-on-first-use"), "a file does not show the ledger's key: give it with --key"),
        (("witness", "w", "--key", "nonsense"), "cannot read nonsense: No such file or directory"),
        (("witness", "w", "--key", "w/vkey"), "is no ledger's"),
        (("witness", "w", "--init", "again"), "w is not empty"),
        (("witness", "https://ledger.example/2026"), "the witness's own folder comes first, then the ledger to look at"),
        (("witness", "none", "log"), "there is no witness here (begin with tutela ledger witness none --init NAME)"),
        (("witness", "w", "--serve", "8080"), "--serve takes HOST:PORT, not '8080'"),
        (("witness", "w", "--serve", "localhost:99999"), "--serve takes HOST:PORT"),
        (("witness", "w", "--serve", "203.0.113.1:1"), "cannot listen on 203.0.113.1:1: "),
        (("checkpoint", "nowhere"), "nowhere/checkpoint: there is no such file"),
        (("checkpoint", "log", "--from", "4"), "the log has 3 entries, and never had 4"),
        (("checkpoint", "log", "--from", "-1"), "the log has 3 entries, and never had -1"),
        (("checkpoint", "log", "--add", "x"), "--add needs --cosign POLICY, which says who is a witness"),
        (("checkpoint", "log", "--cosign", "nowhere"), "cannot read nowhere: No such file or directory"),
        (("checkpoint", "log", "--cosign", "log/vkey"), "log/vkey: policy, line 1: "),
        (("checkpoint", "log", "--cosign", "policy", "--from", "1"), "--from and --cosign do not go together"),
        (("checkpoint", "log", "--cosign", "policy", "--add", "nowhere"), "cannot read nowhere: No such file or directory"),
    ],
)
def test_a_wrong_word_is_named_with_what_to_do_next(words: tuple[str, ...], why: str, run: Run, log: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    new_witness(run, "w")
    policy("quorum none")
    status, out, err = run(*words)
    assert (status, out) == (1, "")
    assert why in err
    monkeypatch.setenv("TUTELA_LANG", "zh")
    status, _, err = run(*words)
    assert status == 1
    assert any(char > "\u2e80" for char in err)
