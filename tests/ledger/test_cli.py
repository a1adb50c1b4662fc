"""`tutela ledger` as people type it: what it says, in both languages, and how it exits."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tutela.cli import main
from tutela.cli.ledger.append import _records
from tutela.cli.ledger.qr import write_codes
from tutela.cli.ledger.trust import Pins
from tutela.errors import UsageError
from tutela.ledger.checkpoint import Checkpoint, parse_signed
from tutela.ledger.fork import Fork
from tutela.ledger.merkle import EMPTY_ROOT
from tutela.ledger.note import Note
from tutela.ledger.refused import UnsignedError
from tutela.ledger.signing import Cosigner, Ed25519Signer, parse_private_key
from tutela.ledger.store.keeper import create

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("TUTELA_LANG", "en")
    monkeypatch.chdir(tmp_path)

    def typed(*words: object) -> tuple[int, str, str]:
        status = main(["ledger", *map(str, words)])
        return status, *capsys.readouterr()

    return typed


@pytest.fixture
def log(run: Run) -> Run:
    assert run("init", "log", "--origin", "ledger.example/centre")[0] == 0
    return run


def test_from_a_file_to_a_receipt_that_verifies_offline(log: Run, tmp_path: Path) -> None:
    Path("contract.txt").write_text("what was agreed")
    status, out, _ = log("append", "log", "contract.txt", "--effective", "2026-01-02T03:04:05Z", "--received", "2026-01-02T03:04:06Z")
    assert (status, out.split("\t")) == (0, ["0", "sha256:" + hashlib.sha256(b"what was agreed").hexdigest(), "contract.txt\n"])
    assert log("append", "log", "contract.txt", "--effective", "2026-01-02T03:04:05Z")[1].startswith("0\t")
    status, out, _ = log("prove", "log", "contract.txt", "--output", "r.tlog-proof")
    assert (status, out) == (0, "wrote r.tlog-proof: entry 0 of 1\n")
    key = Path("log/vkey").read_text().strip()
    Path("log").rename("gone")
    status, out, err = log("verify", "r.tlog-proof", "contract.txt", "--key", key)
    assert (status, err) == (0, "")
    assert out.splitlines()[0] == "the receipt verifies: entry 0 of 1"
    assert "effective 2026-01-02T03:04:05Z, received 2026-01-02T03:04:06Z" in out
    assert "contract.txt is what was logged" in out


def test_a_ledger_and_its_witness_may_have_chinese_names(run: Run) -> None:
    Path("合同").write_text("甲方与乙方")
    assert run("init", "账本", "--origin", "某大学\U0002ebf0/2026", "--sm2")[0] == 0
    assert run("append", "账本", "合同")[0] == 0
    assert run("witness", "见证", "--init", "业主/一号", "--key", "账本/vkey")[0] == 0
    status, cosignature, _ = run("witness", "见证", "账本")
    assert (status, cosignature.startswith("— 业主/一号 ")) == (0, True)
    assert run("prove", "账本", "合同", "--output", "收据")[0] == 0
    assert run("verify", "收据", "合同", "--key", "账本/vkey")[0] == 0
    assert run("fsck", "账本", "--private", "账本.private")[0] == 0


def test_a_ledger_may_be_called_by_a_dot_from_inside(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    monkeypatch.chdir("log")
    assert run("init", ".", "--origin", "ledger.example/centre")[0] == 0
    assert (tmp_path / "log.private" / "key").exists()
    assert run("append", ".", "vkey")[0] == 0
    monkeypatch.chdir("tile")
    assert run("prove", "..", "0")[0] == 0
    status, _, err = run("init", "/", "--origin", "ledger.example/root")
    assert (status, err) == (1, "tutela: no private folder can lie beside /: use another folder for the ledger\n")


@pytest.mark.parametrize("key", ["log.private/key", "w/key"])
def test_a_damaged_key_is_named_and_never_shown(log: Run, key: str) -> None:
    assert log("witness", "w", "--init", "owner.example/w")[0] == 0
    secret = Path(key).read_text().strip()
    for damaged in (secret[:-1], secret[:-4] + "AAA=", secret.replace("KEY", "KEG"), ""):
        Path(key).write_text(damaged)
        status, _, err = log("append", "log", "log/vkey") if key.startswith("log") else log("witness", "w", "log")
        assert (status, err.startswith(f"tutela: {key}: ")) == (1, True)
        assert "Restore this one file from a backup" in err
        assert secret[-20:-8] not in err


def test_options_may_stand_between_the_words(log: Run) -> None:
    Path("a").write_text("a")
    Path("b").write_text("b")
    status, out, err = log("append", "log", "--kind", "letter", "a", "--received", "2026-01-02T03:04:05Z", "b")
    assert (status, out.count("hmac-sha256:"), err) == (0, 2, "")
    log("append", "log", "a")
    assert log("prove", "--output", "r", "log", "2")[0] == 0
    assert log("verify", "r", "--key", "log/vkey", "a")[0] == 0
    assert log("verify", "r", "--key", "log/vkey", "b")[0] == 2
    assert log("append", "log", "--", "--kind")[2] == "tutela: cannot read --kind: No such file or directory\n"


def test_verifying_says_exactly_what_fails(log: Run) -> None:
    Path("a").write_text("a")
    Path("b").write_text("b")
    log("append", "log", "a", "b")
    log("prove", "log", "0", "--output", "r")
    status, _, err = log("verify", "r")
    assert status == 3
    assert err.startswith("not proven: no trusted key for the ledger 'ledger.example/centre': give the verifier key that was handed to you with --key")
    key = ("--key", "log/vkey")
    assert log("verify", "r", "a", *key)[0] == 0
    assert log("verify", "r", "b", *key)[0] == 2
    assert log("init", "other", "--origin", "ledger.example/other")[0] == 0
    status, _, err = log("verify", "r", "--key", "other/vkey")
    assert (status, err) == (2, "does not verify: the checkpoint is of the ledger 'ledger.example/centre', the trusted keys are of ledger.example/other\n")
    receipt = Path("r").read_bytes()
    Path("r").write_bytes(receipt.replace(b"index 0", b"index 1"))
    assert log("verify", "r", *key)[0] == 2
    Path("r").write_bytes(receipt[:50])
    assert log("verify", "r", *key)[0] == 2
    assert log("verify", "nothing", *key)[0] == 1


def test_trust_on_first_use_is_printed_and_kept_and_notices_a_second_history(log: Run) -> None:
    Path("a").write_text("a")
    log("append", "log", "a")
    assert log("verify", "log")[0] == 3
    status, out, _ = log("verify", "log", "--trust-on-first-use")
    assert status == 0
    assert Path("log/vkey").read_text().strip() in out
    assert "grew out of the 1 entries seen last" in log("verify", "log")[1]
    # The same key begins again, with another history.
    private = {path.name: path.read_bytes() for path in Path("log.private").iterdir() if path.is_file()}
    empty = [path for path in Path("log").rglob("*") if path.is_file() and path.name != "vkey"]
    for path in empty:
        path.unlink()
    signer = parse_private_key(private["key"].decode().strip())
    text = Checkpoint("ledger.example/centre", 0, EMPTY_ROOT).text
    for path in (Path("log/checkpoint"), Path("log.private/state")):
        path.write_bytes(Note(text, (signer.sign(text),)).content)
    Path("log.private/known").unlink()
    status, _, err = log("verify", "log")
    assert (status, err) == (2, "does not verify: the ledger went back: it had 1 entries when last seen, and has 0 now\n")
    Path("b").write_text("b")
    Path("c").write_text("c")
    log("append", "log", "b", "c")
    status, _, err = log("verify", "log")
    assert status == 2
    assert "these are two histories" in err


@pytest.mark.parametrize("answer", ["status line", "key"])
def test_a_web_server_that_lies_does_not_steer_the_terminal(log: Run, answer: str) -> None:
    """A status line that is none is repeated; a name of a key may hold what no C0 control is, and still clears a screen (CSI) or turns words round."""
    from tests.ledger.test_web import answering, reply
    from tutela.ledger.checkpoint import Checkpoint
    from tutela.ledger.merkle import EMPTY_ROOT
    from tutela.ledger.note import Note
    from tutela.ledger.signing import Ed25519Signer

    if answer == "status line":
        answers: tuple[bytes, ...] = (b"\x1b[2J\x9b31mSSH\r\n",)
    else:
        stranger = Ed25519Signer("\x9b2J\u202estranger.example", bytes(32))
        text = Checkpoint(stranger.name, 0, EMPTY_ROOT).text
        answers = (reply("200 OK", Note(text, (stranger.sign(text),)).content), reply("200 OK", f"{stranger.key.vkey}\n".encode()))
    with answering(*answers) as (url, _):
        _, out, err = log("verify", url, "--trust-on-first-use")
    assert "stranger" in out or "SSH" in err
    assert all(line.isprintable() for line in (out + err).split("\n"))


def test_a_ledger_that_is_believed_on_first_use_vouches_for_no_witness(log: Run) -> None:
    """It shows a key of its own making under a witness's name, and a cosignature to go with it."""
    from tutela.ledger.checkpoint import parse_signed
    from tutela.ledger.signing import Cosigner

    head = parse_signed(Path("log/checkpoint").read_bytes())
    made_up = Cosigner.new("witness.example/w1")
    Path("log/checkpoint").write_bytes(head.content + made_up.cosign(head.note.text, 1_700_000_000).line.encode())
    own = Path("log/vkey").read_text()
    Path("log/vkey").write_text(own + made_up.key.vkey + "\n")
    for words in (("verify", "log", "--trust-on-first-use"), ("verify", "log")):
        status, out, _ = log(*words)
        assert (status, "witness.example" in out) == (0, False)


def forked(origin: str, *files: str) -> None:
    """A ledger in the folder `fork`, by the same key as that in `log`, that has these files instead."""
    create(Path("fork"), Path("fork.private"), origin)
    key = parse_private_key(Path("log.private/key").read_text().strip())
    assert isinstance(key, Ed25519Signer)
    text = Checkpoint(origin, 0, EMPTY_ROOT).text
    for path in (Path("fork/checkpoint"), Path("fork.private/state")):
        path.write_bytes(Note(text, (key.sign(text),)).content)
    for name in ("log.private/key", "log/vkey"):
        Path("fork" + name.removeprefix("log")).write_text(Path(name).read_text())
    assert main(["ledger", "append", "fork", *files]) == 0


def test_a_receipt_of_another_history_than_the_one_that_was_seen_is_refused(log: Run) -> None:
    for name in "ab":
        Path(name).write_text(name)
    log("append", "log", "a")
    log("verify", "log", "--trust-on-first-use")
    forked("ledger.example/centre", "b")
    log("prove", "fork", "0", "--output", "receipt")
    status, out, err = log("verify", "receipt", "b")
    assert (status, out) == (2, "")
    assert err.startswith("does not verify: ledger.example/centre has signed two histories: at 1 entries the root was ")
    log("prove", "log", "0", "--output", "receipt")
    assert log("verify", "receipt", "a")[0] == 0


@pytest.mark.parametrize(
    ("words", "zh", "en"),
    [
        (
            ("log", "--timestamp", "x.tsr"),
            "--timestamp 只用于收据；账本文件夹里的时间戳用 --tsa-root 一并查看",
            "--timestamp is for receipts; the time-stamps in a ledger's folder are looked at with --tsa-root",
        ),
        (
            ("receipt", "--tsa-root", "log/vkey"),
            "收据的时间戳要用 --timestamp 文件.tsr 给出",
            "a receipt's time-stamp is not part of it: name its file with --timestamp FILE.tsr",
        ),
        (
            ("https://ledger.invalid/log", "--tsa-root", "log/vkey"),
            "网址上列不出时间戳：请给出账本的文件夹；或向账本的主人要收据和它的 .tsr 文件，用 --timestamp 验证",
            "time-stamps cannot be listed on a web server: name the ledger's folder; or ask its keeper for a receipt with its .tsr, and give that with --timestamp",
        ),
        (
            ("histories", "a"),
            "两段历史的证据没有文件或时间戳可对照",
            "a proof of two histories has neither a file nor a time-stamp to be compared with",
        ),
    ],
    ids=["a ledger", "a receipt", "a URL", "two histories"],
)
def test_what_is_not_looked_at_is_refused_rather_than_passed_over(log: Run, words: tuple[str, ...], zh: str, en: str) -> None:
    Path("a").write_text("a")
    log("append", "log", "a")
    log("prove", "log", "0", "--output", "receipt")
    Path("histories").write_text("tutela fork 1\n")
    for lang, said in (("zh", zh), ("en", en)):
        assert log("verify", *words, "--key", "log/vkey", "--lang", lang) == (1, "", f"tutela: {said}\n")


def test_a_cosigner_with_the_name_of_the_log_does_not_speak_for_it(log: Run) -> None:
    cosigner = Cosigner("ledger.example/centre", bytes(32))
    text = Path("log/checkpoint").read_text().partition("\n\n")[0] + "\n"
    Path("log/checkpoint").write_bytes(Note(text, (cosigner.cosign(text, 1),)).content)
    Path("policy").write_text("quorum none\n")
    for more in ((), ("--policy", "policy")):
        status, out, err = log("verify", "log", "--key", cosigner.key.vkey, *more)
        assert (status, out) == (2, "")
        assert err.startswith("does not verify: the checkpoint ")
    head = parse_signed(Path("log/checkpoint").read_bytes())
    with pytest.raises(UnsignedError):
        Fork(head, head, head.checkpoint.root, ()).check((cosigner.key,))


@pytest.mark.parametrize("name", ["checkpoint", "cosigned"])
def test_a_checkpoint_that_is_damaged_is_named_by_whoever_reads_it(log: Run, name: str) -> None:
    Path("a").write_text("a")
    log("append", "log", "a")
    Path("log", name).write_text("no note")
    for words in (("prove", "log", "0"), *((("verify", "log", "--key", "log/vkey"), ("export", "log"), ("checkpoint", "log")) if name == "checkpoint" else ())):
        status, _, err = log(*words)
        assert (status, f"log/{name}: the signed note has no signatures" in err) == (2 if words[0] == "verify" else 1, True)


def test_a_policy_does_not_widen_what_a_key_says(log: Run) -> None:
    """One policy for several ledgers is usual; who names a key as well means that one."""
    assert log("init", "other", "--origin", "ledger.example/other")[0] == 0
    key, other = (Path(name, "vkey").read_text().strip() for name in ("log", "other"))
    Path("policy").write_text(f"log {key}\nlog {other}\nquorum none\n")
    assert log("verify", "other", "--policy", "policy")[0] == 0
    assert log("verify", "other", "--policy", "policy", "--key", other)[0] == 0
    status, out, err = log("verify", "other", "--policy", "policy", "--key", key)
    assert (status, out, err) == (2, "", f"does not verify: it is signed by {other} of the policy, which is no key given with --key\n")


@pytest.mark.parametrize(
    ("name", "option", "content", "said"),
    [
        ("policy", "--policy", "quorum", "policy: policy, line 1: the line does not end"),
        ("root", "--tsa-root", "no certificate", "root holds no PEM certificates"),
        ("key", "--key", "no key", "this is no verifier key: it should be name+eight hexadecimal digits+base64"),
    ],
)
def test_what_we_were_told_wrongly_says_nothing_about_the_ledger(log: Run, name: str, option: str, content: str, said: str) -> None:
    Path("a").write_text("a")
    log("append", "log", "a")
    log("prove", "log", "0", "--output", "receipt")
    Path(name).write_text(content)
    status, _, err = log("verify", "receipt", *(() if option == "--key" else ("--key", "log/vkey")), option, name, "--timestamp", name)
    assert (status, err) == (1, f"tutela: {said}\n")


def test_a_damaged_pin_is_named_and_says_nothing_about_the_ledger(log: Run, tmp_path: Path) -> None:
    assert log("verify", "log", "--trust-on-first-use")[0] == 0
    (pin,) = (path for path in (tmp_path / "state").rglob("*") if path.is_file())
    good = pin.read_bytes()
    for damaged in (b"", good[:20], good[:-20]):
        pin.write_bytes(damaged)
        status, out, err = log("verify", "log")
        assert (status, out, err.startswith(f"tutela: {pin}, which holds this ledger's key and what was seen last, is damaged (")) == (1, "", True)
    pin.unlink()
    assert log("verify", "log", "--trust-on-first-use")[0] == 0


def test_a_key_may_come_in_a_file_of_an_editor_that_marks_its_encoding(log: Run) -> None:
    Path("key").write_bytes(b"\xef\xbb\xbf" + Path("log/vkey").read_bytes().replace(b"\n", b"\r\n"))
    assert log("verify", "log", "--key", "key")[0] == 0


def test_what_does_not_verify_is_not_said_to_be_pinned(log: Run) -> None:
    Path("a").write_text("a")
    log("append", "log", "a")
    Path("log/tile/0/000.p/1").write_bytes(bytes(32))
    status, out, _ = log("verify", "log", "--trust-on-first-use")
    assert (status, out) == (2, "")
    assert log("verify", "log")[0] == 3


def test_who_verifies_at_the_same_time_keeps_what_the_furthest_has_seen(log: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tutela.ledger.checkpoint import parse_signed
    from tutela.ledger.note import parse_vkey

    heads = []
    for name in "abcdefgh":
        Path(name).write_text(name)
        log("append", "log", name)
        heads.append(parse_signed(Path("log/checkpoint").read_bytes()))
    key = parse_vkey(Path("log/vkey").read_text().strip())
    # A slow disk, so that they meet.
    real = os.fsync

    def slow(file: int) -> None:
        time.sleep(0.01)
        real(file)

    monkeypatch.setattr(os, "fsync", slow)
    pins = Pins(tmp_path / "pins")
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda head: pins.put(key.name, (key,), head), reversed(heads)))
    seen = pins.of(key.name)
    assert seen is not None
    assert (seen.keys, seen.seen) == ((key,), heads[-1])


def test_who_gives_a_key_needs_no_home(log: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that runs under a number nobody has heard of."""
    Path("a").write_text("a")
    log("append", "log", "a")
    log("prove", "log", "0", "--output", "receipt")
    monkeypatch.setenv("XDG_STATE_HOME", "/dev/null")
    assert log("verify", "receipt", "a", "--key", "log/vkey")[0] == 0
    monkeypatch.delenv("XDG_STATE_HOME")

    def nobody() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", nobody)
    for words in (("verify", "receipt", "a"), ("fsck", "log"), ("export", "log")):
        assert log(*words, "--key", "log/vkey")[0] == 0
        status, _, err = log(*words)
        assert (status, err) == (1, "tutela: this user has no home folder, where pinned keys and what was seen last would be: set XDG_STATE_HOME\n")


def test_a_cosignature_of_a_time_that_no_calendar_has_is_shown_as_it_came(log: Run) -> None:
    from tutela.ledger.checkpoint import parse_signed
    from tutela.ledger.signing import Cosigner

    witness = Cosigner.new("witness.example/w1")
    head = parse_signed(Path("log/checkpoint").read_bytes())
    line = witness.cosign(head.note.text, (1 << 63) - 1).line
    Path("log/checkpoint").write_bytes(head.content + line.encode())
    status, out, _ = log("verify", "log", "--key", "log/vkey", "--key", witness.key.vkey)
    assert (status, "  witnessed  by witness.example/w1 at POSIX 9223372036854775807\n" in out) == (0, True)
    Path("policy").write_text(f"witness w {witness.key.vkey}\nquorum w\n")
    Path("brought").write_text(line)
    status, _, err = log("checkpoint", "log", "--cosign", "policy", "--add", "brought")
    assert (status, err) == (0, "w has cosigned 0 entries (POSIX 9223372036854775807)\n")


def test_bundles_and_assessments_are_recognised_however_they_are_written(log: Run, tmp_path: Path) -> None:
    bundle = next((Path(__file__).parents[2] / "examples").rglob("*.bundle"))
    main(["check", str(bundle), "--format", "json", "--output", "pretty.json"])
    main(["check", str(bundle), "--format", "jsonl", "--output", "line.json"])
    Path("raw.bundle").write_bytes(__import__("gzip").decompress(bundle.read_bytes()))
    status, out, _ = log("append", "log", bundle, "raw.bundle", "pretty.json", "line.json")
    assert status == 0
    rows = [line.split("\t") for line in out.splitlines()]
    assert [row[0] for row in rows] == ["0", "0", "1", "1"]
    kinds = [json.loads(line)["kind"] for line in log("export", "log")[1].splitlines()]
    assert kinds == ["bundle", "assessment"]


def test_parties_bound_to_national_algorithms_need_sm2_alone(run: Run) -> None:
    assert run("init", "log", "--origin", "ledger.example/centre", "--sm2")[0] == 0
    ed25519, sm2 = Path("log/vkey").read_text().split()
    Path("a").write_text("a")
    assert run("append", "log", "a")[0] == 0
    run("prove", "log", "0", "--output", "receipt")
    for keys, signed in (((sm2,), 1), ((ed25519,), 1), ((ed25519, sm2), 2)):
        status, out, _ = run("verify", "receipt", "a", *(word for key in keys for word in ("--key", key)))
        assert (status, out.count("  signed     by ledger.example/centre")) == (0, signed)
    assert run("verify", "log", "--trust-on-first-use")[1].count("signed     by") == 2
    # Without the SM2 line, who pins SM2 alone does not accept it.
    lines = Path("receipt").read_text().splitlines(keepends=True)
    Path("receipt").write_text("".join(lines[:-1]))
    assert run("verify", "receipt", "--key", ed25519)[0] == 0
    status, _, err = run("verify", "receipt", "--key", sm2)
    assert (status, err.split(" (")[0]) == (2, "does not verify: no trusted key signed this")
    Path("log.private/key.sm2").write_text(Path("log.private/key").read_text())
    Path("log.private/key.sm2").chmod(0o600)
    assert run("append", "log", "receipt")[2] == "tutela: log.private/key.sm2 is no SM2 key of this ledger\n"
    Path("log.private/key.sm2").unlink()
    gone = "tutela: log.private/key.sm2 is gone, with which this ledger signed as well; restore this file from a backup\n"
    assert run("append", "log", "receipt") == (1, "", gone)


def test_many_records_come_from_json_lines(log: Run) -> None:
    lines = [
        json.dumps({"kind": "segment", "subject": f"sha256:{i:064x}", "effective": 1_700_000_000 + i, "received": "2026-11-22T00:00:00Z"}) for i in range(300)
    ]
    Path("records").write_text("\n".join([*lines, lines[5]]) + "\n")
    status, out, _ = log("append", "log", "--import", "records")
    assert (status, out.split()) == (0, [*map(str, range(300)), "5"])
    Path("records").write_text('{"kind":"gossip"}\n')
    status, _, err = log("append", "log", "--import", "records")
    assert status == 1
    assert err.startswith('tutela: line 1 of records is no record like {"kind":"bundle",')
    assert "Error" not in err
    Path("records").write_text('{"kind":"segment","subject":"sha256:00","effective":1,"received":1}\n')
    status, _, err = log("append", "log", "--import", "records")
    assert (status, err) == (1, "tutela: line 1 of records: a subject is sha256: and 64 hexadecimal digits, not 'sha256:00'\n")
    Path("records").write_text(lines[0].replace("1700000000", "true") + "\n")
    status, _, err = log("append", "log", "--import", "records")
    assert (status, err) == (1, "tutela: line 1 of records: a time is written 2026-11-22T08:00:00Z, not 'True'\n")


def test_an_import_without_line_ends_is_not_held_in_memory(log: Run) -> None:
    class Endless(io.RawIOBase):
        given = 0

        def readable(self) -> bool:
            return True

        def readinto(self, into: memoryview) -> int:  # type: ignore[override]
            self.given += len(into)
            assert self.given < 1 << 20
            into[:] = b"x" * len(into)
            return len(into)

    with pytest.raises(UsageError, match="line 1 of x is no record"):
        next(_records(io.BufferedReader(Endless()), "x"))
    Path("records").write_text('{"kind":"segment","subject":"sha256:00","effective":"soon","received":1}\n')
    assert log("append", "log", "--import", "records")[2] == "tutela: line 1 of records: a time is written 2026-11-22T08:00:00Z, not 'soon'\n"


@pytest.mark.parametrize("many", [1, 255, 256, 600])
def test_a_file_is_found_by_its_newest_entry(log: Run, many: int) -> None:
    Path("a").write_text("a")
    lines = [json.dumps({"kind": "scan", "subject": f"sha256:{i:064x}", "effective": i, "received": i}) for i in range(many)]
    for when in ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"):
        log("append", "log", "a", "--effective", when)
        Path("records").write_text("\n".join(lines))
        log("append", "log", "--import", "records")
    assert log("prove", "log", "a", "--output", "r")[1] == f"wrote r: entry {many + 1} of {many + 2}\n"
    assert log("prove", "log", f"sha256:{0:064x}", "--output", "r")[1] == f"wrote r: entry 1 of {many + 2}\n"
    assert log("prove", "log", "sha256:" + "a" * 64)[0] == 1


@pytest.mark.parametrize("kind", ["letter", "incident", "vote"])
def test_what_names_people_is_logged_with_a_salt_or_not_at_all(log: Run, kind: str) -> None:
    for prefix, expected in (("sha256:", 1), ("hmac-sha256:", 0)):
        Path("records").write_text(json.dumps({"kind": kind, "subject": prefix + "0" * 64, "effective": 1, "received": 1}))
        status, _, err = log("append", "log", "--import", "records")
        assert (status, f"a subject of the kind {kind} names people: its digest must be salted" in err) == (expected, bool(expected))
    assert len(log("export", "log")[1].splitlines()) == 1


@pytest.mark.root
def test_who_may_not_see_the_private_folder_gets_receipts_all_the_same(log: Run, tmp_path: Path) -> None:
    Path("a").write_text("a")
    Path("letter").write_text("Zhang San")
    log("append", "log", "a")
    log("append", "log", "letter", "--kind", "letter")
    log("prove", "log", "0", "--output", "keeper")
    log("prove", "log", "1", "--without-salt", "--output", "plain")
    tmp_path.chmod(0o755)
    os.seteuid(65534)
    try:
        assert log("prove", "log", "0")[1].encode() == Path("keeper").read_bytes()
        assert log("prove", "log", "1")[1].encode() == Path("plain").read_bytes()
    finally:
        os.seteuid(0)


def test_a_copy_holds_the_same_log_and_refuses_another_history(log: Run) -> None:
    Path("a").write_text("a")
    log("append", "log", "a")
    assert log("export", "log", "--output", "copy", "--key", "log/vkey")[0] == 0
    lines = "\n".join(json.dumps({"kind": "scan", "subject": f"sha256:{i:064x}", "effective": i, "received": i}) for i in range(600))
    Path("records").write_text(lines)
    log("append", "log", "--import", "records")
    assert log("export", "log", "--output", "copy")[0] == 0
    assert log("export", "copy")[1] == log("export", "log")[1]
    assert log("verify", "copy", "--key", "log/vkey")[0] == 0
    Path("log/tile/entries/001").write_bytes(Path("log/tile/entries/000").read_bytes())
    status, _, err = log("export", "log", "--output", "fresh")
    assert status == 1
    assert "entry 256 does not have the hash that is logged for it" in err
    # What is printed is what was signed, too.
    status, out, _ = log("export", "log")
    assert (status, len(out.splitlines())) == (1, 256)


def test_what_a_server_lies_about_is_not_left_in_the_copy(log: Run) -> None:
    """An entry and the hash of it, changed together: only the tiles above and the root tell."""
    from tutela.ledger.merkle import leaf_hash

    lines = "\n".join(json.dumps({"kind": "scan", "subject": f"sha256:{i:064x}", "effective": i, "received": i}) for i in range(600))
    Path("records").write_text(lines)
    log("append", "log", "--import", "records")
    good = {path: path.read_bytes() for path in (Path("log/tile/entries/001"), Path("log/tile/0/001"))}
    changed = good[Path("log/tile/entries/001")].replace(b"scan", b"vote")
    Path("log/tile/entries/001").write_bytes(changed)
    width = len(changed) // 256
    Path("log/tile/0/001").write_bytes(b"".join(leaf_hash(changed[i + 2 : i + width]) for i in range(0, len(changed), width)))
    for words in (("export", "log", "--output", "copy"), ("export", "log")):
        status, out, err = log(*words)
        assert (status, "vote" in out, "leads to the root" in err) == (1, False, True)
    for path, content in good.items():
        path.write_bytes(content)
    assert log("export", "log", "--output", "copy")[0] == 0
    assert log("fsck", "copy", "--key", "log/vkey")[0] == 0


def test_entries_that_are_no_records_are_not_printed(log: Run) -> None:
    from tests.ledger import made, naive

    for content in (b'{"index":1,"kind":"\xc2\x9b2J"}', b"[1]", b"\xff", b""):
        naive.write(Path("foreign"), made.files([content]))
        status, out, err = log("export", "foreign", "--key", made.SIGNER.key.vkey)
        assert (status, out, err) == (1, "", "tutela: entry 0: this is no canonical record of edition 1\n")


def test_a_copy_is_of_the_ledger_that_is_pinned(log: Run) -> None:
    assert "the signature was not verified: say with --key or --policy whom to believe" in log("export", "log")[2]
    assert log("verify", "log", "--trust-on-first-use")[0] == 0
    assert log("export", "log", "--output", "copy")[2] == ""
    log("init", "other", "--origin", "ledger.example/centre")
    status, _, err = log("export", "other", "--output", "copy")
    assert status == 1
    assert "no trusted key signed this" in err


def test_letters_are_salted_and_can_be_forgotten(log: Run) -> None:
    Path("letter").write_text("Zhang San")
    _, out, _ = log("append", "log", "letter", "--kind", "letter")
    subject = out.split("\t")[1]
    assert subject.startswith("hmac-sha256:")
    log("prove", "log", "letter", "--output", "with")
    log("prove", "log", "0", "--without-salt", "--output", "without")
    assert Path("with").stat().st_mode & 0o077 == 0
    key = ("--key", "log/vkey")
    assert log("verify", "with", "letter", *key)[0] == 0
    assert log("verify", "without", "letter", *key)[0] == 2
    assert log("verify", "without", *key)[0] == 0
    assert log("forget", "log", "letter")[0] == 0
    assert log("forget", "log", subject)[0] == 1
    log("prove", "log", "0", "--output", "after")
    assert Path("after").read_bytes() == Path("without").read_bytes()


def test_a_picture_of_a_receipt_with_its_salt_is_as_private_as_the_receipt(log: Run) -> None:
    Path("letter").write_text("Zhang San")
    log("append", "log", "letter", "--kind", "letter")
    for picture in ("code.png", "code.svg"):
        assert log("prove", "log", "letter", "--qr", picture)[0] == 0
        assert Path(picture).stat().st_mode & 0o077 == 0
    assert log("prove", "log", "letter", "--without-salt", "--qr", "open.svg")[0] == 0
    assert Path("open.svg").stat().st_mode & 0o044 == 0o044
    status, _, err = log("prove", "log", "letter", "--qr", "nowhere/code.svg")
    assert (status, err.startswith("tutela: cannot write nowhere/code.svg: ")) == (1, True)


@pytest.mark.parametrize("at", [0, 20, 50, 121])
def test_a_damaged_salt_is_named_and_hinders_no_other(log: Run, at: int) -> None:
    """A receipt with the wrong salt would say that the letter is another one; and a new salt, that it was never logged."""
    for name in ("one", "two"):
        Path(name).write_text(name)
        assert log("append", "log", name, "--kind", "letter")[0] == 0
    salt = Path("log.private/salts", hashlib.sha256(b"one").hexdigest())
    good = salt.read_bytes()
    salt.write_bytes(good[:at] + (b"A" if good[at : at + 1] != b"A" else b"B") + good[at + 1 :])
    for words in (("append", "log", "one", "--kind", "letter"), ("prove", "log", "one"), ("forget", "log", "one")):
        status, _, err = log(*words)
        assert (status, err.split(":")[1]) == (1, f" the salt in {salt} is damaged")
    salt.write_bytes(b"\xff")
    status, _, err = log("prove", "log", "0")
    assert (status, err.split(":")[1]) == (1, f" the salt in {salt} is damaged")
    for words in (("append", "log", "two", "--kind", "letter"), ("prove", "log", "two"), ("prove", "log", "1"), ("forget", "log", "two")):
        assert log(*words)[0] == 0


def scanned(*pictures: Path) -> bytes:
    """What a reader of QR codes sees (zbarimg), one picture behind the other."""
    read = ["zbarimg", "--raw", "-q", "-Sbinary", *map(str, pictures)]
    return subprocess.run(read, capture_output=True, check=True).stdout


@pytest.mark.program("zbarimg")
def test_a_receipt_on_paper_reads_back_as_it_was(log: Run) -> None:
    Path("a").write_text("a")
    log("append", "log", "a")
    assert log("prove", "log", "0", "--qr", "code.png", "--output", "receipt")[0] == 0
    assert scanned(Path("code.png")) == Path("receipt").read_bytes()
    assert log("prove", "log", "0", "--qr", "code.svg")[0] == 0
    assert Path("code.svg").read_text().startswith("<?xml")
    assert log("prove", "log", "0", "--qr", "code.txt")[0] == 1


@pytest.mark.program("zbarimg")
def test_a_receipt_that_is_too_long_for_one_code_takes_several(tmp_path: Path) -> None:
    content = ("a receipt with many cosignatures\n" * 200).encode()
    pictures = list(write_codes(tmp_path / "code.png", content))
    assert [path.name for path in pictures] == ["code-1.png", "code-2.png", "code-3.png"]
    assert b"".join(scanned(path) for path in pictures) == content


@pytest.mark.parametrize("lang", ["zh", "en"])
@pytest.mark.parametrize(
    ("words", "zh", "en"),
    [
        (("append", "log"), "请给出要记入的文件，或用 --import；二者取一", "name files to log, or --import; one of the two"),
        (
            ("append", "none", "log/vkey"),
            "none.private/key 不存在：这里没有账本（先用 tutela ledger init）",
            "none.private/key does not exist: there is no ledger here (begin with tutela ledger init)",
        ),
        (("init", "log", "--origin", "x"), "log 已有内容：新账本要用空文件夹", "log is not empty: a new ledger needs an empty folder"),
        (
            ("init", "new", "--origin", "a b"),
            "密钥名称应有 1 到 255 个字符，不能有空格、加号和控制字符",
            "a key's name has 1 to 255 characters, without spaces, plus signs or control characters",
        ),
        (
            ("init", "new", "--origin", "a\u200bb"),
            "名称里有看不见的字符 U+200B，请删去或重新输入",
            "the name holds a character that cannot be seen, U+200B: type it anew",
        ),
        (
            ("witness", "new", "--init", "\u202eb"),
            "名称里有看不见的字符 U+202E，请删去或重新输入",
            "the name holds a character that cannot be seen, U+202E: type it anew",
        ),
        (("prove", "log", "9"), "没有第 9 条：日志有 0 条，从 0 数起", "there is no entry 9: the log has 0, counted from 0"),
        (("append", "log", "nothing"), "无法读取 nothing：没有这个文件或文件夹", "cannot read nothing: No such file or directory"),
        (
            ("append", "log", "log/vkey", "--effective", "soon"),
            "时间写作 2026-11-22T08:00:00Z，而不是 'soon'",
            "a time is written 2026-11-22T08:00:00Z, not 'soon'",
        ),
        (("prove", "log", "9" * 30), f"无法读取 {'9' * 30}：没有这个文件或文件夹", f"cannot read {'9' * 30}: No such file or directory"),
        (("prove", "log", "sha256:00"), "账本里没有 sha256:00（log，0 条）", "the ledger has no entry for sha256:00 (log, 0 entries)"),
    ],
    ids=[
        "nothing to log",
        "no ledger",
        "not empty",
        "bad name",
        "unseen character",
        "turned round",
        "no such entry",
        "no such file",
        "no time",
        "no such number",
        "no such subject",
    ],
)
def test_what_is_wrong_is_said_in_both_languages(log: Run, lang: str, words: tuple[str, ...], zh: str, en: str) -> None:
    status, _, err = log(*words, "--lang", lang)
    assert (status, err) == (1, f"tutela: {zh if lang == 'zh' else en}\n")
