"""Remembering facts across bundles changes how fast a fleet is judged, and nothing else."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import pytest

from tests import scenes
from tests.report import standard
from tutela.agreement.rulebook import Rulebook, resolve
from tutela.assess import assess
from tutela.collect.archive import read_bundle
from tutela.evidence import Bundle, Evidence, Status
from tutela.evidence.bundle import Frames, read_frames, whole_frames, write_frames
from tutela.facts import accounts, sockets, ssh, units
from tutela.facts.look import Look
from tutela.facts.memory import Memory
from tutela.facts.sshd.grid import Grid
from tutela.library import load_content
from tutela.report.json import Lines, document, encoded
from tutela.site import Site

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"


@cache
def shipped() -> Rulebook:
    content = load_content(())
    return resolve(content, (content.default_profile,))


def varied(count: int, seed: int, days: int = 1) -> Iterator[Bundle]:
    """Real bundles with sources dropped, changed, swapped between hosts and seen otherwise, then a little more of that day after day; some hosts not reached at all."""
    chance = random.Random(seed)
    seeds = [read_bundle(path) for path in sorted(EXAMPLES.glob("*.bundle"))]
    for number in range(count):
        one, other = chance.choice(seeds), chance.choice(seeds)
        sources = dict(one.sources)
        alter(sources, other, chance.choice([0, 1, 3, 10]), chance)
        for day in range(days):
            if day:
                alter(sources, other, chance.choice([0, 1, 3]), chance)
            meta = {"unreachable": "no route", "unreachable_zh": "没有路由"} if chance.random() < 0.1 else one.meta
            seen = {} if "unreachable" in meta else sources
            yield replace(
                one,
                subject=f"host-{number}.example",
                collected_at=one.collected_at + timedelta(days=day, hours=chance.choice([0, 1, 30])),
                sources=dict(seen),
                frames=write_frames(seen.values()),
                meta=meta,
            )


def alter(sources: dict[str, Evidence], other: Bundle, count: int, chance: random.Random) -> None:
    for name in chance.sample(sorted(sources), count):
        given = sources[name]
        content = given.content
        kind = chance.choice(["drop", "byte", "line", "status", "swap"])
        if kind == "drop":
            del sources[name]
        elif kind == "byte" and content:
            at = chance.randrange(len(content))
            sources[name] = Evidence(name, given.status, content[:at] + bytes([chance.randrange(256)]) + content[at + 1 :], given.rc)
        elif kind == "line":
            lines = content.split(b"\n")
            lines.pop(chance.randrange(len(lines)))
            sources[name] = Evidence(name, given.status, b"\n".join(lines), given.rc)
        elif kind == "status":
            sources[name] = Evidence(name, chance.choice([each for each in Status if each is not Status.MISSING]), content, chance.choice([0, 1]))
        elif kind == "swap":
            sources[name] = other.sources.get(name, given)


@pytest.mark.parametrize("size", [16 << 20, 300_000])
def test_real_hosts_are_judged_the_same_alone_and_among_others_to_the_byte(size: int) -> None:
    memory, frames, lines = Memory(size), Frames(200_000), Lines(500_000)
    site = Site()

    for bundle in varied(10, size, days=4):
        alone = encoded(document(assess(bundle, shipped(), site))) + "\n"
        among = lines.line(assess(Bundle.from_bytes(bundle.to_bytes(), frames), shipped(), site, memory=memory))

        assert among == alone.encode()


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.bundle")), ids=lambda path: path.stem)
def test_a_host_that_is_judged_while_it_is_looked_at_is_judged_the_same_to_the_byte(path: Path) -> None:
    bundle, memory, chance = read_bundle(path), Memory(), random.Random(path.name)
    alone = encoded(document(assess(bundle, shipped(), Site())))

    for length in sorted(chance.sample(range(len(bundle.frames)), 6)):
        frames = whole_frames(bundle.frames[:length])
        early = replace(bundle, collected_at=bundle.collected_at - timedelta(seconds=chance.randrange(3)), frames=frames, sources=read_frames(frames))
        assess(early, shipped(), Site(), memory=memory)

    assert encoded(document(assess(bundle, shipped(), Site(), memory=memory))) == alone


def test_the_same_host_again_is_the_same_verdict_object_not_judged_again() -> None:
    memory = Memory()
    bundle = read_bundle(next(EXAMPLES.glob("*.bundle")))

    first = assess(bundle, shipped(), Site(), memory=memory)
    later = replace(bundle, subject="another", collected_at=bundle.collected_at + timedelta(seconds=1))
    second = assess(later, shipped(), Site(), memory=memory)

    again = [one.check.id for one, two in zip(first.verdicts, second.verdicts, strict=True) if one is not two]
    assert again == []


def test_scenes_with_and_without_memory_report_the_same_to_the_byte() -> None:
    content = standard.content()
    chance = random.Random(1)
    parts = [scenes.load(standard.HERE / "scenes" / f"{name}.yaml") for name in ("keeps", "breaks", "hostile")]
    memories = {part["subject"]: Memory(size=50_000) for part in parts}
    books = {part["subject"]: resolve(content, tuple(content.profiles[name] for name in part["profiles"]), scenes.site(part).parameters) for part in parts}
    for number in range(60):
        one, other = chance.choice(parts), chance.choice(parts)
        mixed = {name: chance.choice([given, other["sources"].get(name, given)]) for name, given in one["sources"].items()}
        scene = one | {"sources": mixed, "subject": chance.choice([one["subject"], f"host-{number % 7}"])}
        book, site, memory = books[one["subject"]], scenes.site(one), memories[one["subject"]]
        bundle = scenes.bundle(scene, scene["subject"])

        said = [encoded(document(assess(bundle, book, site, memory=kept))) for kept in (None, memory)]

        assert said[0] == said[1]


def test_a_memory_grows_no_larger_than_twice_its_size() -> None:
    memory = Memory(300_000)
    for bundle in varied(20, 5):
        assess(bundle, shipped(), Site(), memory=memory)

        assert memory.young.weight <= 300_000
        assert memory.old.weight <= 300_000 + 200_000  # the one fact that made it full


def test_a_fact_made_again_and_equal_is_the_same_object_so_nothing_behind_it_is_made_again() -> None:
    made = []

    def number(look: Look) -> int:
        return len(look.text("numbers"))  # type: ignore[arg-type]

    def double(look: Look) -> list[int]:
        made.append(look.fact(number))
        return [2 * look.fact(number)]

    memory = Memory()

    def judged(content: bytes) -> list[int]:
        source = Evidence("numbers", Status.OK, content)
        bundle = replace(read_bundle(next(EXAMPLES.glob("*.bundle"))), sources={"numbers": source})
        return Look(bundle, Site(), shipped().reference, memory=memory).fact(double)

    assert judged(b"abc") is judged(b"xyz")
    assert judged(b"abcd") == [8]
    assert made == [3, 4]


def test_equal_is_not_the_same_when_it_prints_differently() -> None:
    def flag(look: Look) -> object:
        return 1 if look.text("flag") == "1" else True

    def shown(look: Look) -> str:
        return str(look.fact(flag))

    memory = Memory()
    given = read_bundle(next(EXAMPLES.glob("*.bundle")))

    said = []
    for content in (b"1", b"0"):
        bundle = replace(given, sources={"flag": Evidence("flag", Status.OK, content)})
        said.append(Look(bundle, Site(), shipped().reference, memory=memory).fact(shown))

    assert said == ["1", "True"]


def test_frames_read_by_what_was_seen_before_are_the_frames_that_stand_there() -> None:
    for size in (1 << 24, 50_000):
        seen = Frames(size)
        for bundle in varied(20, 9):
            assert read_frames(bundle.frames, seen) == read_frames(bundle.frames)
            assert seen.kept <= size


def test_units_that_differ_in_moments_alone_are_one_fact_but_for_the_moments() -> None:
    memory = Memory()
    given = read_bundle(next(EXAMPLES.glob("*.bundle")))

    def judged(hour: str, process: int) -> Look:
        # In the order in which some versions of systemd print: the moment before the name, a unit listed twice.
        said = f"""ExecMainExitTimestamp=Sun 2026-11-22 {hour}:10:00 UTC
ExecStart={{ path=/usr/bin/restic ; argv[]=/usr/bin/restic backup /srv ; ignore_errors=no ; start_time=[Sun 2026-11-22 {hour}:00:00 UTC] ; pid={process} }}
Id=save.service
LoadState=loaded
ActiveState=active
Result=success

TimersCalendar={{ OnCalendar=*-*-* 02:10:00 ; next_elapse=Mon 2026-11-23 {hour}:10:00 UTC }}
Id=save.timer
Unit=save.service
LastTriggerUSec=Sun 2026-11-22 {hour}:00:00 UTC
ActiveState=active

Id=save.timer
LastTriggerUSec=Sun 2026-11-22 23:59:59 UTC
"""
        sources = {units.SHOW: Evidence(units.SHOW, Status.OK, said.encode())}
        return Look(replace(given, sources=sources), Site(), shipped().reference, memory=memory)

    one, two = judged("02", 71), judged("03", 72)

    assert one.fact(units.still) is two.fact(units.still)
    assert one.fact(units.up) is two.fact(units.up)
    for look, hour in ((one, 2), (two, 3)):
        seen = look.fact(units.parse)
        assert isinstance(seen, units.Units)
        assert seen.by_id["save.service"].exited == datetime(2026, 11, 22, hour, 10, tzinfo=UTC)
        assert seen.by_id["save.service"].commands[0].words == "/usr/bin/restic backup /srv"
        assert seen.by_id["save.timer"].triggered == datetime(2026, 11, 22, hour, tzinfo=UTC)
        assert seen.by_id["save.timer"].calendar == ("*-*-* 02:10:00",)
        assert seen.running("save") == ("save.service",)


def test_who_has_an_account_is_one_fact_on_all_days_and_ages_are_those_of_the_day() -> None:
    memory = Memory()
    given = read_bundle(next(EXAMPLES.glob("*.bundle")))
    sources = {
        "/etc/passwd": Evidence("/etc/passwd", Status.OK, b"ops:x:1000:1000::/home/ops:/bin/bash"),
        "/etc/shadow": Evidence("/etc/shadow", Status.OK, b"ops:$y$:20000:0:90:7:::"),
    }

    days = [Look(replace(given, sources=sources), Site(), shipped().reference, datetime(2024, 10, day, tzinfo=UTC), memory) for day in (5, 6)]

    assert days[0].fact(accounts.ageless) is days[1].fact(accounts.ageless)
    for look, age in zip(days, (1, 2), strict=True):
        people = look.fact(accounts.parse)
        assert isinstance(people, accounts.Accounts)
        assert (people.accounts[0].password_age_days, people.accounts[0].days_left) == (age, 90 - age)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.bundle")), ids=lambda path: path.stem)
def test_who_can_log_in_is_not_made_again_because_something_else_listens(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory, made = Memory(), []

    class Counted(Grid):
        def __init__(self, look: Look, reached: object) -> None:
            made.append(look)
            super().__init__(look, reached)  # type: ignore[arg-type]

    monkeypatch.setattr(ssh, "Grid", Counted)
    given = read_bundle(path)

    def judged(port: int) -> Look:
        line = f'tcp LISTEN 0 128 0.0.0.0:{port} 0.0.0.0:* users:(("other",pid={port},fd=3)) ino:1 sk:1 cgroup:/ <->\n'.encode()
        seen = Evidence(sockets.SS, Status.OK, line + given[sockets.SS].content)
        return Look(replace(given, sources={**given.sources, sockets.SS: seen}), Site(), shipped().reference, memory=memory)

    # What the first two have in common is one object from the second on; only then do all such hosts pickle alike.
    _, two, three = [look for port in (40001, 40002, 40003) if (look := judged(port)).fact(ssh.parse)]

    assert two.fact(sockets.parse) != three.fact(sockets.parse)
    assert two.fact(ssh.parse) is three.fact(ssh.parse)
    assert three not in made
