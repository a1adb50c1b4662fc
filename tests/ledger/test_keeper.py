"""The writer: what it acknowledges is durable, its indices are for ever, and nothing older than what it signed is ever signed."""

from __future__ import annotations

import errno
import itertools
import multiprocessing
import os
import shutil
import struct
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tutela.ledger.checkpoint import parse_signed
from tutela.ledger.entry import Kind, Record, digest, new_record, parse_entry
from tutela.ledger.merkle import check_consistency, leaf_hash, root_of
from tutela.ledger.note import Note
from tutela.ledger.refused import ConsistencyError, DamagedError, MissingError, MisuseError, RollbackError
from tutela.ledger.signing import Ed25519Signer
from tutela.ledger.store import spool
from tutela.ledger.store.durable import alone, write_new
from tutela.ledger.store.keeper import CHECKPOINT, STATE, Ledger, create

ORIGIN = "ledger.example/centre"


def made_up(number: int | str) -> Record:
    return new_record(Kind.DOCUMENT, digest(str(number).encode()), 1_700_000_000, 1_700_000_060)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return create(tmp_path / "log", tmp_path / "log.private", ORIGIN)


def again(ledger: Ledger) -> Ledger:
    return Ledger(ledger.public, ledger.private)


@pytest.mark.parametrize("sizes", [(1,), (255, 1, 1), (256, 256), (600, 1, 300), (1, 255, 513)])
def test_indices_and_roots_are_those_of_the_entries_in_order(ledger: Ledger, sizes: tuple[int, ...]) -> None:
    roots = []
    for size in sizes:
        first = ledger.head().checkpoint.size
        assert ledger.append([made_up(i) for i in range(first, first + size)]) == list(range(first, first + size))
        log = ledger.log()
        leaves = [leaf_hash(log.entry(index)) for index in range(log.size)]
        assert log.head.checkpoint.root == root_of(leaves)
        for index in range(0, log.size, 37):
            log.proof(index)
        roots.append((log.size, log.head.checkpoint.root))
    log = again(ledger).log()
    for size, root in roots:
        check_consistency(size, root, log.size, log.head.checkpoint.root, log.consistency(size))


def test_the_same_record_keeps_its_first_index_and_its_first_times(ledger: Ledger) -> None:
    assert ledger.append([made_up(1), made_up(2), made_up(1)]) == [0, 1, 0]
    later = Record(made_up(2).kind, made_up(2).subject, made_up(2).effective, made_up(2).received + 999)
    assert again(ledger).append([made_up(3), later]) == [2, 1]
    assert ledger.log().size == 3


def test_threads_and_other_holders_get_indices_of_their_own(ledger: Ledger) -> None:
    indices: dict[int, int] = {}

    def work(worker: int) -> None:
        held = ledger if worker % 2 else again(ledger)
        for number in range(worker * 100, worker * 100 + 25):
            indices[number] = held.append([made_up(number)])[0]

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    log = ledger.log()
    assert sorted(indices.values()) == list(range(200)) == list(range(log.size))
    assert all(made_up(number).subject.encode() in log.entry(index) for number, index in indices.items())


def test_what_others_wrote_is_seen_whatever_its_files_numbers_and_times_are(ledger: Ledger, tmp_path: Path) -> None:
    ledger.append([made_up(i) for i in range(10)])
    files = (ledger.private / STATE, ledger.public / CHECKPOINT)
    before = [path.stat() for path in files]
    for path in files:
        (tmp_path / path.name).hardlink_to(path)
    assert again(ledger).append([made_up(10)]) == [10]
    # The kernel gives numbers again, and a tick of its clock is longer than a commit.
    for path, of in zip(files, before, strict=True):
        (tmp_path / path.name).write_bytes(path.read_bytes())
        os.utime(tmp_path / path.name, ns=(of.st_atime_ns, of.st_mtime_ns))
        (tmp_path / path.name).rename(path)
    assert ledger.append([made_up(11)]) == [11]


def test_a_folder_from_yesterdays_backup_is_refused(ledger: Ledger, tmp_path: Path) -> None:
    ledger.append([made_up(i) for i in range(300)])
    shutil.copytree(ledger.public, tmp_path / "backup")
    ledger.append([made_up(i) for i in range(300, 310)])
    shutil.rmtree(ledger.public)
    shutil.copytree(tmp_path / "backup", ledger.public)
    for holder in (ledger, again(ledger)):
        with pytest.raises(RollbackError, match=r"ends at 300 entries, but this key has signed 310"):
            holder.append([made_up("new")])


def test_a_private_folder_from_yesterdays_backup_goes_on_from_what_is_published(ledger: Ledger) -> None:
    ledger.append([made_up(i) for i in range(300)])
    old = (ledger.private / STATE).read_bytes()
    ledger.append([made_up(i) for i in range(300, 310)])
    (ledger.private / STATE).write_bytes(old)
    assert again(ledger).append([made_up("new")]) == [310]


def test_without_its_state_the_key_signs_nothing(ledger: Ledger) -> None:
    (ledger.private / STATE).unlink()
    with pytest.raises(MissingError, match="must not sign"):
        again(ledger).append([made_up(1)])


@pytest.mark.parametrize("content", [b"", b"garbage\n\n", b"\xff"])
def test_a_damaged_state_or_checkpoint_is_named_with_what_to_do(ledger: Ledger, content: bytes) -> None:
    ledger.append([made_up(1)])
    state, checkpoint = ledger.private / STATE, ledger.public / CHECKPOINT
    good = state.read_bytes()
    stranger = Ed25519Signer(ORIGIN, bytes(32)).sign(parse_signed(good).note.text)
    for damaged in (content, Note(parse_signed(good).note.text, (stranger,)).content):
        state.write_bytes(damaged)
        with pytest.raises(DamagedError, match=rf"{state} is damaged \(.*\): .* must not sign. If {checkpoint} is certainly the newest"):
            again(ledger).append([made_up(2)])
        state.write_bytes(good)
        checkpoint.write_bytes(damaged)
        with pytest.raises(DamagedError, match=rf"{checkpoint} is damaged \(.*\). If {state} was certainly not restored"):
            again(ledger).append([made_up(2)])
        checkpoint.write_bytes(good)
    # What is advised works.
    shutil.copy(checkpoint, state)
    checkpoint.unlink()
    assert again(ledger).append([made_up(1), made_up(2)]) == [0, 1]


def test_a_state_and_a_checkpoint_that_differ_at_one_size_are_two_histories(ledger: Ledger, tmp_path: Path) -> None:
    shutil.copytree(ledger.public, tmp_path / "other")
    shutil.copytree(ledger.private, tmp_path / "other.private")
    Ledger(tmp_path / "other", tmp_path / "other.private").append([made_up("here")])
    ledger.append([made_up("there")])
    shutil.copy(tmp_path / "other" / CHECKPOINT, ledger.public / CHECKPOINT)
    with pytest.raises(ConsistencyError, match="two histories"):
        again(ledger).append([made_up(1)])


def test_a_crash_between_state_and_checkpoint_is_finished(ledger: Ledger) -> None:
    ledger.append([made_up(i) for i in range(10)])
    old = (ledger.public / CHECKPOINT).read_bytes()
    ledger.append([made_up(i) for i in range(10, 20)])
    (ledger.public / CHECKPOINT).write_bytes(old)
    assert again(ledger).head().checkpoint.size == 20
    (ledger.public / CHECKPOINT).unlink()
    assert again(ledger).append([made_up(19), made_up(20)]) == [19, 20]


def test_full_tiles_of_an_append_that_was_cut_off_are_not_left_beside_other_partial_ones(ledger: Ledger, tmp_path: Path) -> None:
    """Whoever finds a partial tile gone asks for the full one, and what the web has once seen of that it may keep for ever."""
    ledger.append([made_up(i) for i in range(250)])
    shutil.copytree(ledger.public, tmp_path / "before")
    shutil.copytree(ledger.private, tmp_path / "before.private")
    ledger.append([made_up(f"cut off {i}") for i in range(10)])
    # As it is when the state was not signed yet: nothing is removed, and the new files are there.
    shutil.copytree(tmp_path / "before", ledger.public, dirs_exist_ok=True)
    shutil.copytree(tmp_path / "before.private", ledger.private, dirs_exist_ok=True)
    full = [ledger.public / path for path in ("tile/0/000", "tile/entries/000")]
    assert all(path.exists() for path in full)

    assert again(ledger).append([made_up(i) for i in range(250, 253)]) == [250, 251, 252]
    assert not any(path.exists() for path in full)
    assert again(ledger).append([made_up(i) for i in range(253, 300)]) == list(range(253, 300))
    again(ledger).log().proof(100)


def test_a_changed_tile_is_not_built_upon(ledger: Ledger) -> None:
    ledger.append([made_up(i) for i in range(10)])
    for path in (ledger.public / "tile/0/000.p/10", ledger.public / "tile/entries/000.p/10"):
        good = path.read_bytes()
        path.write_bytes(good[:40] + bytes([good[40] ^ 1]) + good[41:])
        with pytest.raises(DamagedError):
            again(ledger).append([made_up("new")])
        path.write_bytes(good)
    assert again(ledger).append([made_up("new")]) == [10]


def test_what_a_killed_appender_had_handed_in_is_logged_and_a_torn_file_is_not(ledger: Ledger) -> None:
    one = made_up("left behind")
    whole = f"{one.kind} {one.subject} {one.effective} {one.received}\nend"
    (ledger.private / "pending" / "1-1-1").write_text(whole)
    (ledger.private / "pending" / "2-2-2").write_text(whole[:50])
    assert ledger.append([made_up("mine")]) == [0]
    assert ledger.append([one]) == [1]
    assert list((ledger.private / "pending").iterdir()) == []


def test_appenders_that_share_a_process_number_hand_in_files_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As two containers over one folder do: both are process 7."""
    monkeypatch.setattr(os, "getpid", lambda: 7)
    monkeypatch.setattr(threading, "get_native_id", lambda: 7)
    monkeypatch.setattr(spool, "_count", itertools.repeat(0), raising=False)
    waiting = spool.Spool(tmp_path)
    with waiting.hand_in([made_up("one")]) as one, waiting.hand_in([made_up("other")]) as other:
        taken = waiting.take()
        assert sorted(record.subject for held in taken for record in held.records) == sorted(made_up(which).subject for which in ("one", "other"))
        for held in taken:
            held.answer([1 if held.records == [made_up("one")] else 2])
        assert (one.indices(), other.indices()) == ([1], [2])


@pytest.mark.parametrize("line", ["gossip sha256:{0} 1 1", 'document" sha256:{0} 1 1', "document sha256:00 1 1", "document sha256:{0} 999999999999999 1"])
def test_what_was_handed_in_and_is_no_record_is_not_logged(ledger: Ledger, line: str) -> None:
    (ledger.private / "pending" / "forged").write_text(f"{line.format('0' * 64)}\nend\n")
    assert ledger.append([made_up("mine")]) == [0]
    assert ledger.log().size == 1
    assert list((ledger.private / "pending").iterdir()) == []


@pytest.mark.parametrize("loss", ["removed", "cut", "older boot"])
def test_the_table_of_known_records_is_made_anew(ledger: Ledger, loss: str) -> None:
    ledger.append([made_up(i) for i in range(700)])
    table = ledger.private / "known"
    if loss == "removed":
        table.unlink()
    else:
        content = table.read_bytes()
        table.write_bytes(content[:100] if loss == "cut" else content[:40] + b"0" * 36 + content[76:])
    assert again(ledger).append([made_up(650), made_up(700)]) == [650, 700]


def test_a_table_that_lies_gives_nobody_an_index_that_is_not_theirs(ledger: Ledger) -> None:
    ledger.append([made_up(i) for i in range(10)])
    table = ledger.private / "known"
    content = table.read_bytes()
    for lie in (3, 1_000_000):
        table.write_bytes(content[:4096] + b"".join(slot[:8] + lie.to_bytes(8, "little") for (slot,) in struct.iter_unpack("16s", content[4096:])))
        indices = again(ledger).append([made_up(3), made_up(5), made_up(f"new {lie}")])
        log = ledger.log()
        for record, index in zip([made_up(3), made_up(5)], indices, strict=False):
            assert parse_entry(log.entry(index)).record == record


@pytest.mark.parametrize("others", [0, 5])
def test_a_forged_table_without_a_free_slot_is_made_anew(ledger: Ledger, others: int) -> None:
    ledger.append([made_up(i) for i in range(10)])
    table = ledger.private / "known"
    content = table.read_bytes()
    table.write_bytes(content[:4096] + b"".join(struct.pack("QQ", 1 + i // 16 << 40, others) for i in range(0, len(content) - 4096, 16)))
    # Looked for and entered in a process of its own, which could go round for ever.
    child = multiprocessing.get_context("fork").Process(target=lambda: again(ledger).append([made_up("new")]))
    child.start()
    child.join(20)
    child.kill()
    child.join()
    assert child.exitcode == 0
    assert again(ledger).append([made_up(3), made_up("new")]) == [3, 10]


def test_the_log_goes_on_where_two_levels_of_tiles_are_full(ledger: Ledger) -> None:
    assert ledger.append([made_up(i) for i in range(65_536)]) == list(range(65_536))
    assert again(ledger).append([made_up("next"), made_up(7)]) == [65_536, 7]
    log = again(ledger).log()
    for index in (0, 7, 65_535, 65_536):
        log.proof(index)


def test_the_table_grows_and_forgets_nothing(ledger: Ledger) -> None:
    ledger.append([made_up(i) for i in range(12_000)])
    assert again(ledger).append([made_up(i) for i in range(12_000)]) == list(range(12_000))


def test_keys_and_folders_are_guarded(ledger: Ledger, tmp_path: Path) -> None:
    assert (ledger.private.stat().st_mode & 0o777, (ledger.private / "key").stat().st_mode & 0o777) == (0o700, 0o600)
    with pytest.raises(MisuseError, match="not empty"):
        create(ledger.public, tmp_path / "elsewhere", ORIGIN)
    (ledger.private / "key").chmod(0o640)
    with pytest.raises(MisuseError, match="chmod 600"):
        again(ledger)
    with pytest.raises(MisuseError, match="no ledger here"):
        Ledger(tmp_path / "nowhere", tmp_path / "nowhere.private")


@pytest.mark.parametrize("name", [f".{CHECKPOINT}.new", "tile/0/000.p/1", "tile/entries/000.p/1"])
def test_who_may_write_into_the_public_folder_cannot_choose_what_the_keeper_writes_over(ledger: Ledger, tmp_path: Path, name: str) -> None:
    (tmp_path / "another's").write_text("file")
    link = ledger.public / name
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(tmp_path / "another's")
    with pytest.raises(OSError, match="symbolic links") as problem:
        ledger.append([made_up(1)])
    assert problem.value.filename == str(link)
    assert (tmp_path / "another's").read_text() == "file"
    link.unlink()
    assert again(ledger).append([made_up(1), made_up(2)]) == [0, 1]


def test_nothing_but_partial_tiles_is_removed_once_a_tile_is_full(ledger: Ledger, tmp_path: Path) -> None:
    ledger.append([made_up(i) for i in range(100)])
    others = tmp_path / "others"
    others.mkdir()
    for name in ("passwd", "17", "150"):
        (others / name).touch()
    partial = ledger.public / "tile/0/000.p"
    shutil.copy(partial / "100", others)
    shutil.rmtree(partial)
    partial.symlink_to(others)
    shutil.copy(others / "passwd", ledger.public / "tile/entries/000.p/README")
    for size in (200, 300):
        ledger.append([made_up(i) for i in range(size)])
    assert {"passwd", "17", "150"} <= {one.name for one in others.iterdir()}
    assert (ledger.public / "tile/entries/000.p/README").exists()


def test_a_pipe_in_the_place_of_the_checkpoint_does_not_hold_the_writer_up(ledger: Ledger) -> None:
    (ledger.public / CHECKPOINT).unlink()
    os.mkfifo(ledger.public / CHECKPOINT)
    told: list[Exception] = []

    def append() -> None:
        try:
            ledger.append([made_up(1)])
        except DamagedError as problem:
            told.append(problem)

    writer = threading.Thread(target=append, daemon=True)
    writer.start()
    writer.join(10)
    assert [str(one) for one in told] == [f"{ledger.public / CHECKPOINT}: is no ordinary file"]


def test_whatever_is_removed_beside_a_writer_nobody_else_writes_meanwhile(ledger: Ledger) -> None:
    """As people do who find a program that hangs: a file of the name lock would be the first to go."""
    told: list[int] = []
    with alone(ledger.private):
        for name in ("lock", "known", STATE + ".lock"):
            (ledger.private / name).unlink(missing_ok=True)
        other = threading.Thread(target=lambda: told.extend(again(ledger).append([made_up(1)])))
        other.start()
        other.join(0.3)
        assert told == []
    other.join()
    assert told == [0]


def test_a_key_is_never_made_where_it_would_be_published(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "log")
    for public, private in (("log", "log"), ("log", "log/private"), ("log", "link/x/y"), ("whole/log", "whole")):
        with pytest.raises(MisuseError, match="is to be published"):
            create(tmp_path / public, tmp_path / private, ORIGIN)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link"]


def test_of_two_who_make_a_ledger_in_one_place_at_once_one_does(tmp_path: Path) -> None:
    made: list[Ledger] = []
    refused: list[MisuseError] = []

    def work() -> None:
        try:
            made.append(create(tmp_path / "log", tmp_path / "log.private", ORIGIN))
        except MisuseError as problem:
            refused.append(problem)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert (len(made), len(refused)) == (1, 7)
    assert made[0].append([made_up(1)]) == [0]
    assert (tmp_path / "log" / "vkey").read_text() == f"{made[0].keys[0].vkey}\n"


def test_what_could_not_be_made_whole_is_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.fsync

    def failing_at(which: int) -> Callable[[int], None]:
        counted = itertools.count()

        def fsync(file: int) -> None:
            if next(counted) == which:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            real(file)

        return fsync

    for which in itertools.count():
        monkeypatch.setattr(os, "fsync", failing_at(which))
        try:
            create(tmp_path / "log", tmp_path / "log.private", ORIGIN)
        except OSError as problem:
            assert problem.filename
        else:
            break
    assert which == 10


@pytest.mark.parametrize("left", ["tile/0/x001", "tile/0/x001/234.p", "tile"])
def test_folders_that_somebody_made_and_died_are_made_durable(left: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / left).mkdir(parents=True)
    synced: list[int] = []
    real = os.fsync

    def fsync(file: int) -> None:
        synced.append(os.fstat(file).st_ino)
        real(file)

    monkeypatch.setattr(os, "fsync", fsync)
    write_new(tmp_path, [(tmp_path / "tile/0/x001/234.p/5", b"hashes")])
    for folder in ("", "tile", "tile/0", "tile/0/x001", "tile/0/x001/234.p"):
        assert (tmp_path / folder).stat().st_ino in synced, folder


def test_what_fails_names_its_file(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for name in ("write", "fsync", "posix_fallocate"):
        (ledger.private / "known").unlink(missing_ok=True)
        with monkeypatch.context() as patched, pytest.raises(OSError, match="No space left") as problem:
            patched.setattr(os, name, full)
            again(ledger).append([made_up(1)])
        assert str(problem.value.filename).startswith(str(ledger.public))
