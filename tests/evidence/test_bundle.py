"""Bundles: what comes back is what was written, and what was damaged is refused, never half used."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tutela.errors import BundleError
from tutela.evidence import Bundle, Evidence, Status, Vantage
from tutela.evidence.bundle import MAGIC, MAX_NAME_BYTES, MAX_SOURCES, read_frames, whole_frames, write_frames

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
SOURCES = [
    Evidence("meta", Status.OK, b"version=1\nuid=0"),
    Evidence("/etc/shadow", Status.DENIED),
    Evidence("ss -H -lntup", Status.FAILED, b"ok 0 4 3\nmeta\nend\n", 1),
    Evidence("/etc/主机", Status.TRUNCATED, b"\x00\xff\n\n"),
]


def made(sources: list[Evidence], subject: str = "web01") -> Bundle:
    return Bundle(subject, NOW, "1", Vantage.HOST, write_frames(sources), {source.name: source for source in sources}, {"transport": "local"})


NAMES = st.text(st.characters(exclude_categories=("Cs",)), max_size=30)
EVIDENCE = st.builds(
    Evidence, NAMES, st.sampled_from([status for status in Status if status is not Status.MISSING]), st.binary(max_size=60), st.integers(0, 255)
)


@given(st.lists(EVIDENCE, max_size=6, unique_by=lambda one: one.name), NAMES)
def test_a_bundle_comes_back_as_it_was_written(sources: list[Evidence], subject: str) -> None:
    bundle = made(sources, subject)

    again = Bundle.from_bytes(bundle.to_bytes())

    assert again == bundle
    assert again.digest == bundle.digest


def test_every_cut_of_a_bundle_is_refused() -> None:
    raw = made(SOURCES).to_bytes()
    for length in range(len(raw)):
        with pytest.raises(BundleError):
            Bundle.from_bytes(raw[:length])


def test_of_an_output_under_way_the_whole_frames_are_taken_and_no_part_of_one() -> None:
    frames = write_frames(SOURCES)
    counts = [len(read_frames(whole_frames(frames[:length]))) for length in range(len(frames) + 1)]

    assert counts == sorted(counts)
    assert {counts[0], counts[-1]} == {0, len(SOURCES)}
    for length, count in enumerate(counts):
        kept = read_frames(whole_frames(frames[:length]))
        assert list(kept.values()) == SOURCES[:count]


@given(st.binary(max_size=200) | st.lists(EVIDENCE, max_size=3).map(write_frames))
def test_of_any_output_under_way_the_whole_frames_are_frames(raw: bytes) -> None:
    whole = whole_frames(raw)

    read_frames(whole)
    assert raw.startswith(whole.removesuffix(b"end\n"))


def test_something_behind_the_end_is_refused() -> None:
    raw = made(SOURCES).to_bytes()
    for more in (b"\n", b"x", b"end\n", b"\x00", raw):
        with pytest.raises(BundleError):
            Bundle.from_bytes(raw + more)


def test_every_single_damaged_byte_is_refused_or_stays_where_it_is() -> None:
    """A flipped byte in a header of a frame is refused; one in a name or a content changes that name or content only."""
    bundle = made(SOURCES)
    raw = bundle.to_bytes()
    refused = 0
    for at in range(len(raw)):
        for flip in (0x01, 0x20, 0x80, 0xFF):
            damaged = bytearray(raw)
            damaged[at] ^= flip
            try:
                read = Bundle.from_bytes(bytes(damaged))
            except BundleError:
                refused += 1
                continue
            assert read.digest != bundle.digest
            assert read.to_bytes() == bytes(damaged)
            changed = [
                (old, new)
                for old, new in zip(bundle.sources.values(), read.sources.values(), strict=True)
                if (old.name, old.status, old.content, old.rc) != (new.name, new.status, new.content, new.rc)
            ]
            assert len(changed) <= 1
    assert refused > len(raw)


@given(st.binary(max_size=400))
def test_any_bytes_are_frames_or_refused(raw: bytes) -> None:
    for text in (raw, raw + b"end\n"):
        try:
            found = read_frames(text)
        except BundleError:
            continue
        assert write_frames(found.values()) == text or any(b"\\" in source.name.encode() for source in found.values())


HEADS = st.builds(
    lambda status, rc, name, content, body: f"{status} {rc} {name} {content}\n".encode() + body,
    st.sampled_from(["ok", "denied", "missing", "OK", ""]),
    st.integers(-1, 1000),
    st.integers(-1, 100_000),
    st.integers(-1, 10**10),
    st.binary(max_size=30),
)


@given(st.lists(HEADS, max_size=4).map(lambda heads: b"".join(heads) + b"end\n"))
def test_forged_lengths_are_refused_or_read_as_they_stand(raw: bytes) -> None:
    try:
        read_frames(raw)
    except BundleError:
        return


@given(st.binary(max_size=200) | st.binary(max_size=200).map(lambda raw: MAGIC + raw + b"\nend\n"))
def test_any_bytes_are_a_bundle_or_refused(raw: bytes) -> None:
    try:
        bundle = Bundle.from_bytes(raw)
    except BundleError:
        return
    assert bundle.to_bytes() == raw


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3), max_leaves=4)
HEADER = st.fixed_dictionaries(
    {
        "collected_at": JSON | st.just("2026-11-22T08:00:00Z"),
        "meta": JSON | st.dictionaries(st.text(max_size=3), JSON, max_size=2),
        "probe": JSON | st.just("1"),
        "subject": JSON,
        "vantage": JSON | st.just("host"),
    }
)


@given(HEADER)
def test_any_header_is_read_or_refused(header: object) -> None:
    line = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    try:
        bundle = Bundle.from_bytes(MAGIC + line + b"\nend\n")
    except BundleError:
        return
    assert isinstance(bundle.subject, str)


@pytest.mark.parametrize(
    "line",
    [
        b"{}",
        b"[]",
        b"null",
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b"1" * 5000,
        b'{"collected_at":"2026-13-45T99:00:00Z","meta":{},"probe":"1","subject":"x","vantage":"host"}',
        b'{"collected_at":"2026-11-22T08:00:00Z","meta":[],"probe":"1","subject":"x","vantage":"host"}',
        b'{"collected_at":"2026-11-22T08:00:00Z","meta":{},"probe":"1","subject":"x","vantage":"moon"}',
        b'{"collected_at":"2026-11-22T08:00:00Z","meta":{},"probe":"1","subject":"x","subject":"y","vantage":"host"}',
        b'{"meta":{},"collected_at":"2026-11-22T08:00:00Z","probe":"1","subject":"x","vantage":"host"}',
        b'{"collected_at":"2026-11-22T08:00:00Z","meta":{},"probe":"1","subject":"\xff","vantage":"host"}',
    ],
)
def test_a_damaged_header_is_refused(line: bytes) -> None:
    with pytest.raises(BundleError):
        Bundle.from_bytes(MAGIC + line + b"\nend\n")


def test_a_source_seen_twice_alike_is_one() -> None:
    frame = write_frames([SOURCES[0]])[: -len(b"end\n")]
    assert read_frames(frame * 3 + b"end\n") == {SOURCES[0].name: SOURCES[0]}


@pytest.mark.parametrize(
    ("later", "again"),
    [
        (b"ok 0 1 1\nn\nb\n", Evidence("n (again)", Status.OK, b"b")),
        (b"absent 0 1 0\nn\n\n", Evidence("n (again)", Status.ABSENT)),
        (b"ok 1 1 1\nn\na\n", Evidence("n (again)", Status.OK, b"a", 1)),
        (b"truncated 0 1 1\nn\na\n", Evidence("n (again)", Status.TRUNCATED, b"a")),
    ],
)
def test_no_later_frame_takes_the_place_of_a_source(later: bytes, again: Evidence) -> None:
    found = read_frames(b"ok 0 1 1\nn\na\n" + later + b"ok 0 1 1\nn\nc\nok 0 1 1\nm\nz\nend\n")

    assert found == {"n": Evidence("n", Status.OK, b"a"), "n (again)": again, "m": Evidence("m", Status.OK, b"z")}


def test_a_name_that_spells_the_escape_of_another_does_not_take_its_place() -> None:
    r"""A byte that is no UTF-8 is shown as \xff; a name that spells it out must not hide behind it."""
    found = read_frames(b"ok 0 1 1\n\xff\na\nok 0 4 1\n\\xff\nb\nend\n")
    assert [(name, one.content) for name, one in found.items()] == [("\\xff", b"a"), ("\\xff (again)", b"b")]


@pytest.mark.parametrize(
    "frames",
    [
        b"",
        b"end",
        b"end\n\n",
        b"END\n",
        b"ok 0 4 999999999\nmeta\nend\n",
        b"ok 0 99999 1\nmeta\nx\nend\n",
        b"ok 0 4 3\nmeta\nab\nend\n",
        b"ok 0 4 1\nmeta\nab\nend\n",
        b"ok 0 3 1\nmeta\na\nend\n",
        b"ok 0 -4 1\nmeta\na\nend\n",
        b"ok 0 \xd9\xa4 1\nmeta\na\nend\n",
        b"missing 0 4 1\nmeta\na\nend\n",
        b"ok  0 4 1\nmeta\na\nend\n",
        b"ok 0 4 1\r\nmeta\na\nend\n",
        b"ok 0 5000 1\n" + b"n" * 5000 + b"\na\nend\n",
    ],
)
def test_forged_frames_are_refused(frames: bytes) -> None:
    with pytest.raises(BundleError):
        read_frames(frames)


def test_too_many_sources_are_refused() -> None:
    frames = b"".join(b"ok 0 %d 0\n%d\n\n" % (len(str(at)), at) for at in range(MAX_SOURCES + 1)) + b"end\n"
    with pytest.raises(BundleError):
        read_frames(frames)
    with pytest.raises(BundleError):
        read_frames(b"ok 0 1 0\nn\n\n" * (MAX_SOURCES + 1) + b"end\n")
    assert MAX_NAME_BYTES == 4096


def test_a_missing_source_is_missing_not_absent() -> None:
    assert made(SOURCES)["/etc/none"].status is Status.MISSING
