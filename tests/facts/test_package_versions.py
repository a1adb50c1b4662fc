"""Version order, held to the tools' own where they are here."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tutela.facts.package_versions import newer_deb, newer_rpm

PART = st.text("0123456789abzAZ.+~", min_size=1, max_size=6)
DEB = st.builds(
    lambda epoch, first, rest, revision: f"{epoch}{first}{rest}{revision}",
    st.sampled_from(["", "0:", "1:"]),
    st.sampled_from("0129"),
    PART,
    st.sampled_from(["", "-1", "-1+deb12u1", "-0~bpo1"]),
)


@pytest.mark.program("dpkg")
@settings(max_examples=150, deadline=None)
@given(DEB, DEB)
def test_debian_versions_are_ordered_as_dpkg_orders_them(left: str, right: str) -> None:
    said = newer_deb(left, right)

    word = "gt" if said > 0 else "lt" if said < 0 else "eq"
    assert subprocess.run(["dpkg", "--compare-versions", left, word, right], check=False, capture_output=True).returncode == 0, (left, word, right)


@pytest.mark.parametrize(
    ("left", "right", "sign"),
    [
        # From RPM's own test suite of rpmvercmp.
        ("0:1.0-1", "0:1.0-1", 0),
        ("0:1.0-1", "0:2.0-1", -1),
        ("0:2.0.1a-1", "0:2.0.1-1", 1),
        ("0:5.5p1-1", "0:5.5p10-1", -1),
        ("0:10xyz-1", "0:10.1xyz-1", -1),
        ("0:xyz10-1", "0:xyz10.1-1", -1),
        ("0:xyz.4-1", "0:8-1", -1),
        ("0:1.0aa-1", "0:1.0a-1", 1),
        ("0:10.0001-1", "0:10.0039-1", -1),
        ("0:4.999.9-1", "0:5.0-1", -1),
        ("0:20101121-1", "0:20101122-1", -1),
        ("0:2_0-1", "0:2.0-1", 0),
        ("0:1.0~rc1-1", "0:1.0-1", -1),
        ("0:1.0~rc1-1", "0:1.0~rc2-1", -1),
        ("0:1.0~rc1~git123-1", "0:1.0~rc1-1", -1),
        ("0:1.0^-1", "0:1.0-1", 1),
        ("0:1.0^git1-1", "0:1.01-1", -1),
        ("0:1.0^20160101-1", "0:1.0.1-1", -1),
        ("0:1.0^20160101^git1-1", "0:1.0^20160102-1", -1),
        ("0:1.0~rc1^git1-1", "0:1.0~rc1-1", 1),
        ("1:1.0-1", "0:9.0-1", 1),
        ("0:5.14.0-427.el9", "0:5.14.0-427.13.1.el9_4", -1),
    ],
)
def test_rpm_versions_are_ordered_as_rpm_orders_them(left: str, right: str, sign: int) -> None:
    said = newer_rpm(left, right)

    assert (said > 0) - (said < 0) == sign
    back = newer_rpm(right, left)
    assert (back > 0) - (back < 0) == -sign


@given(st.text(max_size=60), st.text(max_size=60))
def test_any_two_texts_have_an_order(left: str, right: str) -> None:
    for compare in (newer_deb, newer_rpm):
        assert compare(left, left) == 0
        assert (compare(left, right) > 0) == (compare(right, left) < 0)
