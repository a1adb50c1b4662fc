"""The walk over the files and the key files against bytes nobody wrote on purpose."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests import scenes
from tutela.facts import file_walk, key_files, support

PEOPLE = {"/etc/passwd": "ops:x:1000:1000::/home/ops:/bin/bash", "/etc/group": "ops:x:1000:"}
ROWS = st.lists(st.text(alphabet="SWUK\t0127f/ab \n-=", max_size=40), max_size=6).map("\n".join)


@given(ROWS, ROWS, st.sampled_from(["ok", "truncated"]))
def test_no_rows_make_it_raise(one: str, two: str, status: str) -> None:
    sources = PEOPLE | {file_walk.WALK: {"status": status, "content": one}, file_walk.SECRETS: two, file_walk.PACKAGED: one, file_walk.CAPABILITIES: two}

    scenes.look({"sources": sources}).fact(file_walk.parse)


@given(ROWS)
def test_no_list_of_key_files_makes_it_raise(text: str) -> None:
    scenes.look({"sources": PEOPLE | {key_files.SOURCE: text + "\n81a4 0 0 0 0 /etc/passwd"}}).fact(key_files.parse)


@given(st.text(max_size=60))
def test_no_answer_of_pro_makes_it_raise(text: str) -> None:
    scenes.look({"sources": {"/etc/os-release": 'ID=ubuntu\nVERSION_ID="20.04"', "pro status --format json": text}}).fact(support.parse)
