"""A site's own checks and agreements (`--content DIR`): what is added, and what is refused with its place."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tutela.errors import ContentError
from tutela.library import load_content

CHECK = """\
schema: tutela/check/1
id: our-check
title: {zh: 我们的, en: ours}
why: {zh: 因为, en: because}
remedy: {zh: 这样做, en: do this}
severity: low
expect:
- path: hostname.name
  equals: web1
  label: {zh: 主机名, en: host name}
"""


def refused(folder: Path) -> str:
    with pytest.raises(ContentError) as caught:
        load_content((folder,))
    return caught.value.message.en.removeprefix(f"{folder}/")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "checks").mkdir()
    return tmp_path


def test_a_check_of_the_site_is_added(folder: Path) -> None:
    (folder / "checks" / "ours.yaml").write_text(CHECK)

    assert load_content((folder,)).checks["our-check"].title.en == "ours"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (CHECK.replace("hostname.name", "no_such.name"), "checks/ours.yaml:8:3: expect.0.path: there is no fact called 'no_such'"),
        (CHECK.replace("severity: low", "severity: huge"), "checks/ours.yaml:6:1: severity: 'huge' is not one of: "),
        (CHECK.replace("id: our-check", "id: our-check\nid: b"), "checks/ours.yaml:3:1: the key 'id' occurs twice"),
        (CHECK.replace("our-check", "one-superuser"), "checks/ours.yaml"),
        ("", "checks/ours.yaml: a mapping is expected"),
        ("x: !!python/object/apply:os.system [id]", "checks/ours.yaml:1:4: the tag tag:yaml.org,2002:python/object/apply:os.system is not allowed"),
    ],
)
def test_what_is_wrong_in_it_is_said_with_its_place(folder: Path, text: str, said: str) -> None:
    (folder / "checks" / "ours.yaml").write_text(text)

    assert refused(folder).startswith(said)


def test_what_is_no_file_is_refused_and_not_waited_for(folder: Path) -> None:
    os.mkfifo(folder / "checks" / "ours.yaml")

    assert refused(folder) == "checks/ours.yaml: not a regular file"


def test_a_file_by_another_ending_is_not_passed_over_in_silence(folder: Path) -> None:
    (folder / "checks" / "ours.yml").write_text(CHECK)

    assert refused(folder) == "checks/ours.yml: its name has to end in .yaml, or nobody reads it"
