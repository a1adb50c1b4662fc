"""A witness: what it cosigns, what it refuses and with which status, and that it never stands behind two histories."""

from __future__ import annotations

import base64
import threading
import time
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ledger import made, naive
from tutela.ledger.checkpoint import Checkpoint, SignedCheckpoint, parse_signed
from tutela.ledger.fork import Fork, TwoHistoriesError, parse_fork
from tutela.ledger.merkle import EMPTY_ROOT, consistency_ranges
from tutela.ledger.note import MAX_NOTE_BYTES, Note, VerifierKey
from tutela.ledger.refused import (
    ConflictError,
    ConsistencyError,
    DamagedError,
    LedgerError,
    MalformedError,
    MissingError,
    MisuseError,
    OriginError,
    RollbackError,
    UnsignedError,
)
from tutela.ledger.signing import Cosigner, Ed25519Signer, verified_by
from tutela.ledger.sm2 import Sm2Signer
from tutela.ledger.store import durable
from tutela.ledger.store import seen as store
from tutela.ledger.store.seen import KEY, LOGS, MAX_FORKS, MISBEHAVIOUR, Seen, create
from tutela.ledger.witness import MAX_REQUEST_BYTES, STATUSES, Request, authentic, check_continues, parse_request, request_for

KEYS = (made.SIGNER.key,)
NOW = 1_750_000_000


def entries(branch: str, size: int, forks_at: int = 0) -> list[bytes]:
    """A history: entries that all branches share up to `forks_at`, then its own."""
    return [made.entry(i if i < forks_at else f"{branch}{i}") for i in range(size)]


def head(held: list[bytes]) -> SignedCheckpoint:
    return parse_signed(made.checkpoint([naive.leaf(one) for one in held]))


def asked(held: list[bytes], old: int) -> Request:
    """The honest request for the log of these entries, from `old` on; proof by the definition."""
    leaves = [naive.leaf(one) for one in held]
    proof = naive.consistency(old, leaves) if 0 < old < len(held) else []
    return Request(old, tuple(proof), head(held))


@pytest.fixture
def witness(tmp_path: Path) -> Seen:
    made_now = create(tmp_path / "witness", "witness.example/w1")
    made_now.pin(made.SIGNER.key)
    return Seen(tmp_path / "witness", lambda: NOW)


def forks(witness: Seen) -> list[Path]:
    return sorted((witness.folder / MISBEHAVIOUR).iterdir())


# ---------------------------------------------------------------------- requests

EXAMPLE = """\
old 20852014
PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=
jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=
5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=
/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=

example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— example.com/behind-the-sofa opLqBQsREYCgu6xQkYQwJr9fo45a62DN9EdmHXnZdXNqlcVGlCum2Wks+49/V6267UEjw6QUXTS5Rovnzv++qbSzm9Q=
""".encode()
"""Of tlog-witness, "add-checkpoint"."""


def test_the_specifications_example_is_read_and_written_back() -> None:
    request = parse_request(EXAMPLE)

    assert (request.old, len(request.proof), request.head.checkpoint.size) == (20852014, 4, 20852163)
    assert request.head.checkpoint.origin == "example.com/behind-the-sofa"
    assert base64.b64encode(request.proof[3]) == b"/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0="
    assert request.content == EXAMPLE


def test_the_specifications_example_has_fewer_hashes_than_its_sizes_ask_for() -> None:
    """It shows the form alone: from 20852014 to 20852163 a proof has more."""
    assert len(consistency_ranges(20852014, 20852163)) > 4


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("old 20852014\n", ""),
        ("old 20852014", "old 020852014"),
        ("old 20852014", "old  20852014"),
        ("old 20852014", "old +20852014"),
        ("old 20852014", "old -1"),
        ("old 20852014", "old 20852014 "),
        ("old 20852014", "Old 20852014"),
        ("old 20852014\n", "old 20852014\r\n"),
        ("old 20852014", "old 99999999999999999999"),
        ("PlRN", "PlR"),
        ("PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=", "PlRN"),
        ("PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=", "PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkax="),
        ("jrJZ", "中"),
        ("/0=\n\n", "/0=\n"),
        ("20852163", "020852163"),
        ("20852163", "9999999999999999999"),
        ("CsUYapGG", "CsUY"),
        ("\n— example", "\n- example"),
        ("9Q=\n", "9Q="),
        ("example.com/behind-the-sofa\n2", "\n2"),
        ("old 20852014\n", "old 20852014\n" + "PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n" * 60),
        ("9Q=\n", "9Q=\n" + "x" * MAX_REQUEST_BYTES),
    ],
)
def test_what_is_no_request_is_malformed(before: str, after: str) -> None:
    content = EXAMPLE.replace(before.encode(), after.encode(), 1)
    assert content != EXAMPLE
    with pytest.raises(MalformedError):
        parse_request(content)


def test_63_hashes_are_read() -> None:
    line = b"PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n"
    assert len(parse_request(EXAMPLE.replace(line, line * 60)).proof) == 63


@given(
    st.binary(max_size=300)
    | st.integers(0, len(EXAMPLE) - 1).flatmap(lambda at: st.binary(max_size=3).map(lambda more: EXAMPLE[:at] + more + EXAMPLE[at + 1 :]))
)
def test_whatever_comes_only_our_error_comes_out_and_what_is_read_is_what_was_written(content: bytes) -> None:
    with suppress(MalformedError):
        assert parse_request(content).content == content


# ---------------------------------------------------------------------- statuses

LIAR = Ed25519Signer("elsewhere.example", bytes(32))
IMPOSTOR = Ed25519Signer(made.ORIGIN, b"\7" * 32)


def signed(size: int, root: bytes, signer: Ed25519Signer = made.SIGNER, origin: str = made.ORIGIN) -> SignedCheckpoint:
    text = Checkpoint(origin, size, root).text
    return SignedCheckpoint(Checkpoint(origin, size, root), Note(text, (signer.sign(text),)))


def forged(of: SignedCheckpoint) -> SignedCheckpoint:
    (good,) = of.note.signatures
    return SignedCheckpoint(of.checkpoint, Note(of.note.text, (replace(good, signature=bytes(64)),)))


HONEST = entries("", 9)
LEAF = naive.leaf(HONEST[0])


@pytest.mark.parametrize(
    ("seen", "request_", "status"),
    [
        # the size that was cosigned last, the request, what tlog-witness says
        (None, asked(HONEST, 0), 200),
        (5, asked(HONEST, 5), 200),
        (4, asked(HONEST, 4), 200),
        (9, asked(HONEST, 9), 200),
        (None, Request(0, (), signed(0, EMPTY_ROOT)), 200),
        (0, Request(0, (), signed(0, EMPTY_ROOT)), 200),
        (0, asked(HONEST, 0), 200),
        (None, Request(0, (), signed(9, bytes(32), LIAR, "elsewhere.example")), 404),
        (5, Request(0, (), signed(9, bytes(32), LIAR, "elsewhere.example")), 404),
        (5, Request(5, (), signed(9, bytes(32), LIAR)), 403),
        (5, Request(5, (), signed(9, bytes(32), IMPOSTOR)), 403),
        (5, replace(asked(HONEST, 5), head=forged(head(HONEST))), 403),
        (None, Request(99, (), forged(head(HONEST))), 403),
        (5, replace(asked(HONEST, 5), old=10), 400),
        (9, Request(9, (), head(HONEST[:5])), 400),
        (None, asked(HONEST, 5), 409),
        (5, asked(HONEST, 0), 409),
        (5, asked(HONEST, 4), 409),
        (9, asked(HONEST[:5], 5), 409),
        (5, Request(0, (bytes(32),), head(HONEST)), 409),
        (None, Request(0, (), signed(0, LEAF)), 422),
        (None, Request(0, (), signed(0, bytes(32))), 422),
        (0, Request(0, (), signed(0, LEAF)), 422),
        (None, Request(0, (LEAF,), signed(0, EMPTY_ROOT)), 422),
        (None, Request(0, (LEAF,), head(HONEST)), 422),
        (5, Request(5, (), head(HONEST)), 422),
        (5, Request(5, asked(HONEST, 5).proof[:-1], head(HONEST)), 422),
        (5, Request(5, (*asked(HONEST, 5).proof, LEAF), head(HONEST)), 422),
        (5, Request(5, (LEAF, *asked(HONEST, 5).proof[1:]), head(HONEST)), 422),
        (5, asked(entries("b", 9), 5), 422),
        (4, asked(entries("b", 9), 4), 422),
        (9, asked(entries("b", 9), 9), 422),
        (9, Request(9, (LEAF,), head(HONEST)), 422),
    ],
)
def test_each_request_gets_the_status_that_the_specification_gives_it(seen: int | None, request_: Request, status: int, witness: Seen) -> None:
    if seen is not None:
        witness.add(asked(HONEST[:seen], 0) if seen else Request(0, (), signed(0, EMPTY_ROOT)))
    before = witness.last(made.ORIGIN)
    # As it comes over the network.
    request = parse_request(request_.content)
    try:
        signature = witness.add(request)
    except LedgerError as problem:
        found = next(code for kind, code in STATUSES.items() if isinstance(problem, kind))
        assert witness.last(made.ORIGIN) == before
        if isinstance(problem, ConflictError):
            assert problem.size == (seen or 0)
    else:
        found = 200
        assert (signature.name, signature.key_id) == ("witness.example/w1", witness.cosigner.key.key_id)
        now = witness.last(made.ORIGIN)
        assert now is not None
        assert now.checkpoint == request.head.checkpoint
        # Monitors get the log's signature and the cosignature that was given.
        assert now.note.signatures == (*request.head.note.signatures, signature)
        assert [one.time for one in verified_by(now.note, (made.SIGNER.key, witness.cosigner.key))] == [None, NOW]

    assert found == status


def test_a_known_logs_name_alone_or_a_known_id_alone_is_not_its_key(witness: Seen) -> None:
    text = head(HONEST).note.text
    wrong_name = replace(made.SIGNER.sign(text), name="other")
    with pytest.raises(UnsignedError):
        witness.add(Request(0, (), SignedCheckpoint(head(HONEST).checkpoint, Note(text, (wrong_name,)))))


def test_names_of_strangers_are_shown_as_escapes(witness: Seen) -> None:
    stranger = Ed25519Signer("\x9b2Jx\u202e", bytes(32))
    for origin in (made.ORIGIN, "\x9b2Jx\u202e"):
        with pytest.raises(LedgerError, match=r"\\x9b2Jx\\u202e") as refusal:
            witness.add(Request(0, (), signed(9, bytes(32), stranger, origin)))
        assert str(refusal.value).isprintable()


def test_signatures_of_others_are_passed_over_and_not_kept(witness: Seen) -> None:
    good = head(HONEST)
    other = Cosigner("other.example", bytes(32)).cosign(good.note.text, 5)
    crowded = SignedCheckpoint(good.checkpoint, good.note.with_signatures((LIAR.sign(good.note.text), other)))
    witness.add(Request(0, (), crowded))
    kept = witness.last(made.ORIGIN)
    assert kept is not None
    assert [one.name for one in kept.note.signatures] == [made.ORIGIN, "witness.example/w1"]


def test_extension_lines_are_cosigned_with_the_rest(witness: Seen) -> None:
    text = head(HONEST).note.text + "extension 1\n"
    with_more = Request(0, (), parse_signed(Note(text, (made.SIGNER.sign(text),)).content))
    signature = witness.add(with_more)
    verified_by(Note(text, (signature,)), (witness.cosigner.key,))
    # The same tree without them is the same history.
    witness.add(asked(HONEST, 9))


def test_a_log_whose_key_changes_is_known_by_both(witness: Seen) -> None:
    witness.add(asked(HONEST[:5], 0))
    new = Ed25519Signer(made.ORIGIN, b"9" * 32)
    renewed = Request(5, asked(HONEST, 5).proof, signed(9, head(HONEST).checkpoint.root, new))
    with pytest.raises(UnsignedError):
        witness.add(renewed)
    witness.pin(new.key)
    witness.pin(new.key)
    witness.add(renewed)
    assert witness.keys == (made.SIGNER.key, new.key)


def test_an_sm2_key_may_be_pinned_and_a_cosigners_may_not(witness: Seen) -> None:
    second = Sm2Signer("gm.example", bytes(31) + b"\7")
    witness.pin(second.key)
    text = Checkpoint("gm.example", 9, head(HONEST).checkpoint.root).text
    witness.add(Request(0, (), parse_signed(Note(text, (second.sign(text),)).content)))
    for kind in (0x04, 0x06):
        with pytest.raises(MisuseError, match="is no ledger's"):
            witness.pin(VerifierKey.of("x", kind, bytes(32)))


# ---------------------------------------------------------------------- misbehaviour


@pytest.mark.parametrize("old", [5, 9])
def test_a_second_history_is_refused_and_its_proof_convinces_others_without_the_log(old: int, witness: Seen) -> None:
    witness.add(asked(HONEST[:old], 0))
    with pytest.raises(TwoHistoriesError, match="has signed two histories") as refusal:
        witness.add(asked(entries("b", 9), old))
    (path,) = forks(witness)
    assert path == witness.proof_of(refusal.value.fork)
    assert path.name.startswith("two-histories-ledger.example_centre-")

    fork = parse_fork(path.read_bytes())
    fork.check(KEYS)
    assert fork.content == path.read_bytes()
    assert (fork.first.checkpoint, fork.second.checkpoint) == (head(HONEST[:old]).checkpoint, head(entries("b", 9)).checkpoint)

    # The witness goes on with the history it knows.
    witness.add(asked(entries("", 20), old))


def test_two_roots_at_one_size_need_no_proof_whatever_came_with_them() -> None:
    with pytest.raises(TwoHistoriesError) as found:
        check_continues(Request(9, (LEAF,), head(entries("b", 9))), head(HONEST))
    found.value.fork.check(KEYS)


def test_a_proof_that_leaves_the_old_root_out_is_refused_and_proves_nothing(witness: Seen) -> None:
    """The tree of 4 is a complete subtree of the one of 9, and a proof between them does not tell its root."""
    witness.add(asked(HONEST[:4], 0))
    with pytest.raises(ConsistencyError, match=r"the proof does not show that the log of 9 entries grew out of the 4 that were cosigned$") as refusal:
        witness.add(asked(entries("b", 9), 4))
    assert not isinstance(refusal.value, TwoHistoriesError)
    assert forks(witness) == []


def test_a_tree_of_nothing_with_a_root_is_no_second_history_whose_proof_nobody_could_read(witness: Seen) -> None:
    witness.add(Request(0, (), signed(0, EMPTY_ROOT)))
    with pytest.raises(ConsistencyError) as refusal:
        witness.add(Request(0, (), signed(0, LEAF)))
    assert not isinstance(refusal.value, TwoHistoriesError)
    assert forks(witness) == []


@pytest.mark.parametrize("forks_at", [0, 1, 3, 4, 7])
@pytest.mark.parametrize(("old", "new"), [(4, 4), (4, 9), (7, 7), (7, 300), (8, 300), (256, 300), (257, 600)])
def test_whoever_looks_at_the_tiles_proves_every_second_history(forks_at: int, old: int, new: int, witness: Seen) -> None:
    witness.look(made.Memory(made.files(entries("a", old, forks_at))))
    with pytest.raises(TwoHistoriesError):
        witness.look(made.Memory(made.files(entries("b", new, min(forks_at, old - 1)))))
    (path,) = forks(witness)
    parse_fork(path.read_bytes()).check(KEYS)


def test_looking_at_a_log_that_grows_cosigns_it_each_time(witness: Seen) -> None:
    for size in (0, 0, 1, 1, 4, 7, 256, 300, 600):
        found, signature = witness.look(made.Memory(made.files(entries("", size))))
        assert found.checkpoint.size == size
        verified_by(Note(found.note.text, (signature,)), (witness.cosigner.key,))
    assert forks(witness) == []


def test_a_log_that_went_back_is_not_cosigned(witness: Seen) -> None:
    witness.look(made.Memory(made.files(HONEST)))
    with pytest.raises(RollbackError, match=r"memory ends at 5 entries, and 9 were seen before"):
        witness.look(made.Memory(made.files(HONEST[:5])))
    kept = witness.last(made.ORIGIN)
    assert kept is not None
    assert kept.checkpoint.size == 9


def test_damaged_or_missing_tiles_are_no_second_history(witness: Seen) -> None:
    witness.look(made.Memory(made.files(HONEST[:5])))
    files = made.files(HONEST)
    tile = files["tile/0/000.p/9"]
    for at in range(0, len(tile), 32):
        with pytest.raises(DamagedError, match="its history cannot be seen"):
            witness.look(made.Memory({**files, "tile/0/000.p/9": tile[:at] + bytes([tile[at] ^ 1]) + tile[at + 1 :]}))
    with pytest.raises(DamagedError):
        witness.look(made.Memory({**files, "tile/0/000.p/9": tile[:-1]}))
    with pytest.raises(MissingError):
        witness.look(made.Memory({path: content for path, content in files.items() if path != "tile/0/000.p/9"}))
    assert forks(witness) == []


def two() -> Fork:
    with pytest.raises(TwoHistoriesError) as found:
        check_continues(asked(entries("b", 9), 5), head(HONEST[:5]))
    return found.value.fork


def test_every_byte_of_a_proof_of_two_histories_counts() -> None:
    content = two().content
    parse_fork(content).check(KEYS)
    for at in range(len(content)):
        for bit in (0x01, 0x80):
            with pytest.raises(LedgerError):
                parse_fork(content[:at] + bytes([content[at] ^ bit]) + content[at + 1 :]).check(KEYS)


def test_one_history_proves_no_misbehaviour() -> None:
    honest = asked(HONEST, 5)
    root = head(HONEST[:5]).checkpoint.root
    with pytest.raises(MalformedError, match="this is one history"):
        Fork(head(HONEST[:5]), head(HONEST), root, honest.proof).check(KEYS)
    with pytest.raises(ConsistencyError):
        Fork(head(HONEST[:5]), head(HONEST), bytes(32), honest.proof).check(KEYS)
    with pytest.raises(UnsignedError):
        two().check((LIAR.key,))
    with pytest.raises(OriginError):
        Fork(head(HONEST[:5]), signed(9, bytes(32), LIAR, "elsewhere.example"), bytes(32), ()).check((*KEYS, LIAR.key))


def test_proofs_are_never_written_over_and_have_a_bound(witness: Seen) -> None:
    witness.add(asked(HONEST, 0))
    with pytest.raises(TwoHistoriesError):
        witness.add(asked(entries("b", 9), 9))
    (path,) = forks(witness)
    path.write_bytes(b"marked")
    with pytest.raises(TwoHistoriesError):
        witness.add(asked(entries("b", 9), 9))
    assert path.read_bytes() == b"marked"
    for number in range(MAX_FORKS + 5):
        with pytest.raises(TwoHistoriesError):
            witness.add(asked(entries(f"b{number}-", 9), 9))
    assert len(forks(witness)) == MAX_FORKS


# ---------------------------------------------------------------------- what it keeps


def test_a_witness_that_failed_before_it_recorded_knows_nothing_of_it(witness: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    witness.add(asked(HONEST[:5], 0))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left"):
        patch.setattr(store, "replace", full)
        witness.add(asked(HONEST, 5))
    again = Seen(witness.folder)
    again.add(asked(HONEST[:7], 5))


def test_a_witness_that_recorded_but_never_answered_is_asked_again_from_the_new_size(witness: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    witness.add(asked(HONEST[:5], 0))
    real = store.replace

    def killed(path: Path, content: bytes) -> None:
        real(path, content)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(store, "replace", killed)
        witness.add(asked(HONEST, 5))
    again = Seen(witness.folder)
    with pytest.raises(ConflictError) as conflict:
        again.add(asked(HONEST, 5))
    assert conflict.value.size == 9
    again.add(asked(HONEST, 9))


def test_a_record_that_was_changed_is_not_gone_on_from(witness: Seen) -> None:
    witness.add(asked(HONEST[:5], 0))
    path = witness.folder / "seen" / sha256(made.ORIGIN.encode()).hexdigest()
    good = path.read_bytes()
    before = witness.last(made.ORIGIN)
    assert before is not None
    for at in range(len(good)):
        path.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        try:
            found = witness.last(made.ORIGIN)
        except DamagedError:
            with pytest.raises(DamagedError, match="cannot be witnessed any more"):
                witness.add(asked(HONEST, 5))
        else:
            # Only the log's own signature, which is not what is gone on from.
            assert found is not None
            assert found.note.text == before.note.text
    path.write_bytes(good)
    other = witness.folder / "seen" / sha256(b"other").hexdigest()
    other.write_bytes(good)
    with pytest.raises(DamagedError, match="it is of another log"):
        witness.last("other")
    other.write_bytes(b"x" * (MAX_NOTE_BYTES + 1))
    with pytest.raises(DamagedError):
        witness.last("other")


def test_requests_that_race_are_judged_one_after_the_other(witness: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    """tlog-witness, "add-checkpoint": N and N+K from the same size; N must not take the place of N+K."""
    witness.add(asked(HONEST[:3], 0))
    inside, most = [0], [0]
    real = store.check_continues

    def slow(request: Request, last: SignedCheckpoint | None) -> None:
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        try:
            real(request, last)
            time.sleep(0.005)
        finally:
            inside[0] -= 1

    monkeypatch.setattr(store, "check_continues", slow)
    outcomes: list[object] = []

    def submit(size: int) -> None:
        # Each holds the folder by itself, as processes do.
        try:
            Seen(witness.folder).add(asked(HONEST[:size], 3))
            outcomes.append(size)
        except ConflictError as conflict:
            outcomes.append((size, conflict.size))

    threads = [threading.Thread(target=submit, args=(size,)) for size in (4, 5, 6, 7, 8, 9) for _ in range(3)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    (won,) = [one for one in outcomes if isinstance(one, int)]
    kept = witness.last(made.ORIGIN)

    assert kept is not None
    assert kept.checkpoint.size == won
    assert {size for _, size in (one for one in outcomes if isinstance(one, tuple))} == {won}
    assert most == [1]


def test_monitors_are_shown_no_cosignature_that_a_power_cut_could_take_back(witness: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    origin = sha256(made.ORIGIN.encode()).hexdigest()
    shown: list[bytes] = []
    monitor = threading.Thread(target=lambda: shown.append(witness.published(origin)))
    really = durable.sync_folder

    def sync(folder: Path) -> None:
        """The new record stands there under its name, which is not on the disk yet."""
        monitor.start()
        monitor.join(0.3)
        assert shown == []
        really(folder)

    monkeypatch.setattr(durable, "sync_folder", sync)
    witness.add(asked(entries("a", 3), 0))
    monitor.join()
    assert [parse_signed(one).checkpoint.size for one in shown] == [3]


def test_keys_and_folders_are_guarded(witness: Seen, tmp_path: Path) -> None:
    assert (witness.folder.stat().st_mode & 0o777, (witness.folder / KEY).stat().st_mode & 0o777) == (0o700, 0o600)
    assert (witness.folder / KEY).read_text().startswith("PRIVATE+KEY+witness.example/w1+")
    with pytest.raises(MisuseError, match="not empty"):
        create(witness.folder, "again")
    with pytest.raises(MalformedError, match="spaces"):
        create(tmp_path / "named", "a name")
    with pytest.raises(MisuseError, match="no witness here"):
        Seen(tmp_path / "nowhere")
    (witness.folder / KEY).chmod(0o644)
    with pytest.raises(MisuseError, match="chmod 600"):
        Seen(witness.folder)
    (witness.folder / LOGS).write_text("nonsense\n")
    with pytest.raises(DamagedError):
        _ = witness.keys
    with pytest.raises(MissingError):
        witness.published("../key")


def test_a_ledgers_key_is_no_witnesss(witness: Seen) -> None:
    from tutela.ledger.store.keys import write_key

    write_key(witness.folder / KEY, made.SIGNER)
    with pytest.raises(MalformedError, match="a ledger's key, not a witness's"):
        Seen(witness.folder)


def test_a_clock_that_stands_at_zero_makes_no_cosignature_without_a_time(witness: Seen) -> None:
    signature = Seen(witness.folder, lambda: -5.0).add(asked(HONEST, 0))
    assert int.from_bytes(signature.signature[:8], "big") == 1


# ---------------------------------------------------------------------- never two histories

BRANCHES = {name: entries(name, 12, at) for name, at in (("a", 0), ("b", 0), ("c", 3), ("d", 5), ("e", 8))}


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.integers(0, 12), st.integers(0, 13), st.sampled_from("abcde"), st.booleans()), max_size=30))
def test_no_two_cosigned_checkpoints_are_without_a_proof_that_joins_them(steps: list[tuple[str, int, int, str, bool]]) -> None:
    """A log that signs whatever it likes, with proofs of any of its histories, from any size."""
    last: SignedCheckpoint | None = None
    cosigned: list[list[bytes]] = [[]]
    for branch, size, some, of, fitting in steps:
        held, before = BRANCHES[branch][:size], cosigned[-1]
        old = len(before) if fitting else some
        leaves = [naive.leaf(one) for one in BRANCHES[of][:size]]
        proof = naive.consistency(old, leaves) if 0 < old < len(leaves) else []
        request = Request(old, tuple(proof), head(held))
        continues = held[: len(before)] == before
        try:
            taken = authentic(request.head, KEYS)
            check_continues(request, last)
        except TwoHistoriesError as found:
            found.fork.check(KEYS)
            assert not continues
        except LedgerError:
            assert not (fitting and branch == of and continues)
        else:
            cosigned.append(held)
            last = taken
    for older, newer in pairwise(cosigned):
        assert newer[: len(older)] == older


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.integers(0, 12)), max_size=12))
def test_of_logs_that_are_looked_at_too(steps: list[tuple[str, int]]) -> None:
    from tutela.ledger.log import Log

    last: SignedCheckpoint | None = None
    cosigned: list[bytes] = []
    for branch, size in steps:
        held = BRANCHES[branch][:size]
        log = Log(made.Memory(made.files(held)), head(held))
        try:
            request = request_for(log, last)
        except TwoHistoriesError as found:
            found.fork.check(KEYS)
            assert held[: len(cosigned)] != cosigned
        except RollbackError:
            assert len(held) < len(cosigned)
        else:
            check_continues(request, last)
            assert held[: len(cosigned)] == cosigned
            last, cosigned = request.head, held
