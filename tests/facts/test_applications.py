"""Applications outside packages: versions of log4j, and names nobody wrote on purpose."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import scenes
from tutela.evidence import Unobserved
from tutela.facts import applications, packages
from tutela.facts.applications import Applications, Outside


def seen(listed: str) -> Applications:
    fact = scenes.look({"sources": {packages.DPKG: "ii \tlibc6\t2.36-9\tamd64", applications.OUTSIDE: listed}}).fact(applications.parse)
    assert not isinstance(fact, Unobserved)
    return fact


@pytest.mark.parametrize(
    ("name", "holed"),
    [
        ("log4j-core-2.0.jar", True),
        ("log4j-core-2.0-beta9.jar", True),
        ("log4j-core-2.14.1.jar", True),
        ("log4j-core-2.15.0.jar", True),
        ("log4j-core-2.16.0.jar", False),
        ("log4j-core-2.25.1.jar", False),
        ("log4j-core-2.12.1.jar", True),
        ("log4j-core-2.12.2.jar", False),
        ("log4j-core-2.3.jar", True),
        ("log4j-core-2.3.1.jar", False),
        ("log4j-core-2.13.3.redhat-00001.jar", True),
        ("log4j-core-3.0.0.jar", False),
    ],
)
def test_log4j_has_its_hole_up_to_the_versions_that_mended_it(name: str, holed: bool) -> None:
    outside = seen(f"/opt/app/{name}").outside

    assert isinstance(outside, tuple)
    assert isinstance(outside[0], Outside)
    assert (outside[0].hole is not None) is holed


@given(st.text(alphabet="/log4jcre-.2019\n php\x00é", max_size=80))
def test_no_list_of_files_makes_it_raise(text: str) -> None:
    seen(text)
