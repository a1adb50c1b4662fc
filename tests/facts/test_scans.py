"""Scans of a host: what proves something, and bytes nobody wrote on purpose."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import scenes
from tutela.evidence import Unobserved
from tutela.facts import outside, reachable, scan_agreement, scans, tls
from tutela.facts.look import Look

HOST = scenes.load(scenes.TESTS / "checks" / "_base" / "ssh-host.yaml")["sources"]
NAME = "scan of 192.0.2.40 from 203.0.113.7"
WHOLE = scenes.scan("192.0.2.40", "203.0.113.7", opened=("tcp 443", 'tcp 22 {"name":"ssh","said":"x","tls":null,"without_authentication":null}'))[1]
SITE = {"networks": {"admin": ["192.0.2.0/28"], "campus": ["192.0.2.0/24", "198.51.100.0/24"], "clients": ["198.51.100.9/32"]}}


def look(text: str, name: str = NAME) -> Look:
    return scenes.look({"sources": HOST | {name: text}, "site": SITE})


def judged(seen: Look) -> None:
    for fact in (scans, outside, scan_agreement, reachable, tls):
        seen.fact(fact.parse)


@given(st.one_of(st.text(max_size=300), st.text(st.sampled_from('abcdeopntcu 0123456789-,.{}[]":\n\x00é\u2028'), max_size=300)))
def test_no_bytes_make_a_reader_raise_nor_count_as_a_scan(text: str) -> None:
    seen = look(text)

    judged(seen)

    assert seen.fact(scans.parse).seen == ()
    assert isinstance(seen.fact(outside.parse).data_ports, Unobserved)


@given(st.integers(0, len(WHOLE)), st.text(max_size=20), st.integers(0, 20))
def test_a_damaged_scan_never_raises(at: int, text: str, gone: int) -> None:
    judged(look(WHOLE[:at] + text + WHOLE[at + gone :]))


@given(st.integers(0, len(WHOLE) - 1))
def test_a_scan_that_was_cut_off_shows_nothing_closed(at: int) -> None:
    found = look(WHOLE[:at]).fact(outside.parse).data_ports

    assert isinstance(found, Unobserved) or any(isinstance(one, Unobserved) for one in found)


@pytest.mark.parametrize(
    "said",
    [
        '{"name":1,"said":"","tls":null,"without_authentication":null}',
        '{"name":"x","said":"","tls":null}',
        '{"name":"x","said":"","tls":[],"without_authentication":null}',
        '{"name":"x","said":"","tls":{"versions":"TLSv1"},"without_authentication":null}',
        '{"name":"x","said":"","tls":null,"without_authentication":"yes"}',
        '{"asked_bytes":1,"name":"x","said":"","tls":null,"without_authentication":null}',
        '{"answered_bytes":true,"asked_bytes":1,"name":"x","said":"","tls":null,"without_authentication":null}',
        '{"answered_bytes":-1,"asked_bytes":1,"name":"x","said":"","tls":null,"without_authentication":null}',
        '{"answered_bytes":1e99,"asked_bytes":1,"name":"x","said":"","tls":null,"without_authentication":null}',
        "{" + '"a":[' * 5000 + "}",
    ],
)
def test_a_service_in_another_form_is_no_scan(said: str) -> None:
    assert look(WHOLE.replace("open tcp 443", f"open tcp 443 {said}")).fact(scans.parse).seen == ()


@pytest.mark.parametrize(
    ("source", "vantage"),
    [
        ("203.0.113.7", "external"),
        ("198.51.100.7", "campus"),
        ("198.51.100.9", "client"),
        ("192.0.2.3", "admin"),
        ("192.0.2.40", "itself"),
        ("127.0.0.1", "itself"),
        ("10.1.2.3", "behind-nat"),
        ("100.64.0.9", "behind-nat"),
    ],
)
def test_a_place_is_what_the_site_makes_of_its_address(source: str, vantage: str) -> None:
    name, text = scenes.scan("192.0.2.40", source)

    assert [place.vantage for place in look(text, name).fact(outside.parse).places] == [vantage]


@pytest.mark.parametrize(
    ("at", "counts"), [("2026-11-14T08:00:00Z", True), ("2026-11-14T07:59:59Z", False), ("2026-11-22T09:00:00Z", True), ("2026-11-22T09:00:01Z", False)]
)
def test_a_scan_counts_for_eight_days_and_not_from_the_future(at: str, counts: bool) -> None:
    _, text = scenes.scan("192.0.2.40", "203.0.113.7", at=at)

    assert bool(look(text).fact(outside.parse).places) is counts


@given(st.sets(st.integers(1, 65535), max_size=40), st.sampled_from(["203.0.113.7", "198.51.100.7", "192.0.2.3"]))
def test_a_scan_with_fewer_open_ports_never_takes_back_what_another_found(ports: set[int], source: str) -> None:
    """What was measured open stays, and the host's own word stays, whatever else was measured closed."""
    first = scenes.scan("192.0.2.40", "203.0.113.7", opened=tuple(f"tcp {port}" for port in sorted(ports)))
    second = scenes.scan("192.0.2.40", source if source != "203.0.113.7" else "203.0.113.8")
    alone = scenes.look({"sources": HOST | dict([first]), "site": SITE})
    both = scenes.look({"sources": HOST | dict([first, second]), "site": SITE})

    assert both.fact(outside.parse).open == alone.fact(outside.parse).open
    assert denied(both) == denied(alone)


def denied(seen: Look) -> list[Any]:
    found = seen.fact(scan_agreement.parse).denied
    assert not isinstance(found, Unobserved)
    return [one for one in found if not isinstance(one, Unobserved)]
