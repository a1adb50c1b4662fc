"""Dates of certificates against bytes nobody wrote on purpose."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests import scenes
from tutela.facts import tls

BASE = scenes.load(scenes.TESTS / "checks" / "_base" / "web-nginx.yaml")["sources"]


@given(
    st.one_of(st.text(max_size=60), st.from_regex(r"nginx /x notAfter=[A-Z][a-z]{2} {1,2}[0-9]{1,2} [0-9]{2}:[0-9]{2}:[0-9]{2} [0-9]{4} GMT", fullmatch=True))
)
def test_no_date_makes_it_raise(text: str) -> None:
    scenes.look({"sources": BASE | {tls.CERTIFICATES: text}}).fact(tls.parse)
