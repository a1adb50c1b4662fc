"""Facts about packages and updates: hostile bytes never raise, and what scenes do not reach."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import scenes
from tutela.evidence import Bundle, Evidence, Status, Vantage
from tutela.evidence.bundle import write_frames
from tutela.facts import (
    addresses,
    apt_settings,
    automatic_updates,
    hostname,
    package_integrity,
    package_sources,
    packages,
    reboot,
    replaced_libraries,
    security_updates,
    unpackaged,
    update_files,
)
from tutela.facts.look import Look
from tutela.site import Site

FACTS = (
    addresses,
    apt_settings,
    automatic_updates,
    hostname,
    package_integrity,
    package_sources,
    packages,
    reboot,
    replaced_libraries,
    security_updates,
    unpackaged,
    update_files,
)
WORDS = [
    b"Inst a [1] (2 Debian-Security:12/x-security [amd64])", b"deb [trusted=yes] http://x/debian sid main", b"Types: deb\nURIs: u\nSuites: s\n", b'A::B { "x"; };',
    b"99999999999 99999999999 /boot/vmlinuz-6.1.0-1-amd64", b"repository\tx\tread", b"RLSA-2026:1\t2026-99-99\tNone\tbash\t9:9-9\tx86_64", b"ii \tbash\t5\tamd64", b"ID=debian\nVERSION_CODENAME=x",
    b"??5??????   /usr/bin/x", b"1 /usr/lib/libc.so.6", b"'/proc/1/exe' -> '/x'", b"Linux 6.1.0-1-amd64 x86_64", b"File: /x\nDate: Sat, 31 Feb 2026 10:16:37 UTC", b"[main]\ngpgcheck=1", b"\n", b" ", b"{", b"\xff",
]  # fmt: skip
CONTENT = st.lists(st.one_of(st.sampled_from(WORDS), st.binary(max_size=40)), max_size=8).map(b"\n".join)
NAMES = sorted(
    {name for fact in FACTS for name in fact.NEEDS}
    | {"/etc/apt/sources.list.d/x.list", "/etc/apt/sources.list.d/x.sources", "/etc/apt/apt.conf.d/x", "/etc/yum.repos.d/x.repo"}
)
LISTED = {"/etc/apt/sources.list.d/": b"x.list\nx.sources", "/etc/apt/apt.conf.d/": b"x", "/etc/yum.repos.d/": b"x.repo"}


def look(contents: dict[str, bytes]) -> Look:
    sources = [Evidence(name, Status.OK, content) for name, content in contents.items()]
    bundle = Bundle("x", scenes.NOW, "1", Vantage.HOST, write_frames(sources), {one.name: one for one in sources})
    return Look(bundle, Site(hostname_pattern="*"), scenes.content().reference)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from(NAMES), CONTENT, max_size=12))
def test_no_bytes_of_a_host_make_a_fact_raise(contents: dict[str, bytes]) -> None:
    for fact in FACTS:
        look(contents | LISTED | {"/etc/os-release": b"ID=debian\nVERSION_ID=12\nVERSION_CODENAME=bookworm"}).fact(fact.parse)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ('A "1";\n#clear A;\n', {}),
        ('A { B "1"; C { "x"; "y"; }; };', {"a::b": ("1",), "a::c": ("x", "y")}),
        ('A::C:: "x"; A::C:: "y";', {"a::c": ("x", "y")}),
        ('A "1";\nA "2";', {"a": ("2",)}),
        ('// A "1";\n# A "2";\n/* A "3"; */ B 4;', {"b": ("4",)}),
        ("A { B ", None),
        ('A "1', None),
        ("};", None),
    ],
)
def test_apt_conf_is_read_as_apt_config_dump_shows_it(text: str, values: dict[str, tuple[str, ...]] | None) -> None:
    fact = look({"/etc/apt/apt.conf.d/": b"x", "/etc/apt/apt.conf.d/x": text.encode(), "/etc/apt/apt.conf": b""}).fact(apt_settings.parse)

    assert isinstance(fact, apt_settings.AptSettings)
    assert (None if not isinstance(fact.values, dict) else fact.values) == values


@pytest.mark.parametrize(
    ("one", "two", "alike"),
    [
        ("6.1.0-38-amd64", "6.1.0-41-amd64", True),
        ("6.1.0-38-amd64", "6.1.0-41-cloud-amd64", False),
        ("6.1.0-38-amd64", "6.1.0-41-rt-amd64", False),
        ("6.12.48+deb13-amd64", "6.12.57+deb13-amd64", True),
        ("6.12.48+deb13-amd64", "6.1.0-38-amd64", True),
        ("6.8.0-88-generic", "6.8.0-90-generic", True),
        ("6.8.0-88-generic", "6.8.0-1030-aws", False),
        ("5.14.0-503.11.1.el9_5.x86_64", "5.14.0-570.62.1.el9_6.x86_64", True),
        ("5.14.0-503.11.1.el9_5.x86_64", "5.14.0-503.11.1.el9_5.x86_64+debug", False),
        ("6.6.0-72.0.0.76.oe2403sp1.x86_64", "6.6.0-98.0.0.103.oe2403sp2.x86_64", True),
    ],
)
def test_kernels_of_one_kind_follow_each_other(one: str, two: str, alike: bool) -> None:
    assert (reboot._kind(one) == reboot._kind(two)) is alike
