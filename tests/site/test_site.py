from __future__ import annotations

import contextlib
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tutela.errors import ContentError
from tutela.site import read_site
from tutela.site.read import _READERS

TEMPLATES = Path(__file__).parents[2] / "src" / "tutela" / "content" / "templates"


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_the_template_is_a_valid_site_that_declares_nothing(lang: str) -> None:
    site = read_site((TEMPLATES / f"site.{lang}.yaml").read_bytes(), "site.yaml")

    assert site.log_servers is None
    assert site.waivers == ()


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_the_template_with_every_line_in_use_is_valid_and_shows_every_setting(lang: str) -> None:
    text = (TEMPLATES / f"site.{lang}.yaml").read_text("utf-8")
    used = re.sub(r"^# ", "", text, flags=re.MULTILINE)

    site = read_site(used.encode(), "site.yaml")

    assert site.waivers[0].target == "H-085"
    shown = set(re.findall(r"^# ([a-z_]+):", text, flags=re.MULTILINE))
    optional = {"inventory_name", "patch_tool", "allowed_suid", "allowed_world_writable", "allowed_unpackaged", "unpackaged_versions", "edr"}
    assert set(_READERS) - shown == optional


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("schema: tutela/site/1\nnetworks: {admin: [10.0.0.1/8]}\n", "s.yaml:2:20", "not a network"),
        ("schema: tutela/site/1\nnetwork: {}\n", "s.yaml:2:1", "unknown key"),
        ("schema: tutela/site/1\nlog_server: [a]\n", "s.yaml:2:1", "did you mean log_servers?"),
        ("schema: tutela/site/1\nnetworks:\n\tadmin: []\n", "s.yaml:3:1", "there is a tab"),
        ("schema: tutela/site/1\nname：x\nprofile: campus-L1\n", "s.yaml:2:5", "full-width"),
        ("schema: tutela/site/1\nweak_tokens: [*exuni]\nname: x\n", "s.yaml:2:", "aliases"),
        ("schema: tutela/site/1\nname: @x\n", "s.yaml:2:7", "quote a value"),
        ("schema: tutela/site/2\n", "s.yaml:1:1", "not one of"),
        ("name: x\n", "s.yaml:1:1", "schema is missing"),
        ("schema: tutela/site/1\nschema: tutela/site/1\n", "s.yaml:2:1", "occurs twice"),
        ("schema: &a tutela/site/1\nname: *a\n", "s.yaml:2:7", "aliases"),
        ("schema: !!python/object:os.system x\n", "s.yaml:1:9", "not allowed"),
        ("schema: tutela/site/1\nname: [unclosed\n", "s.yaml:3:1", "not valid YAML"),
        ("schema: tutela/site/1\nmlps_level: one\n", "s.yaml:2:1", "whole number"),
        (
            "schema: tutela/site/1\nwaivers:\n- {target: H-001, party: owner, reason: r, approver: a, granted: 2026-01-01, expires: 2027-01-02}\n",
            "s.yaml:3:78",
            "365 days",
        ),
        ("schema: tutela/site/1\nssh_measures: [keys, 2fa]\n", "s.yaml:2:22", "'2fa' is not one of: source, knock, two-factor, keys, ban"),
        ("schema: tutela/site/1\ndata_sets:\n- {path: /srv, important: true, backup_by: [tape]}\n", "s.yaml:3:33", "text is expected"),
        ("", "s.yaml:", "empty"),
    ],
)
def test_a_wrong_site_file_is_refused_with_its_place(text: str, place: str, words: str) -> None:
    with pytest.raises(ContentError) as caught:
        read_site(text.encode(), "s.yaml")

    assert str(caught.value).startswith(place), caught.value
    assert words in str(caught.value)
    assert caught.value.message.zh != caught.value.message.en


@given(st.binary(max_size=300))
def test_any_bytes_are_a_site_or_a_content_error(raw: bytes) -> None:
    with contextlib.suppress(ContentError):
        read_site(raw, "s.yaml")


def test_settings_of_single_hosts_replace_the_common_ones() -> None:
    text = "schema: tutela/site/1\ndata_class: public\nhosts:\n- {match: 'db*', data_class: core}\n- {match: db2, roles: [physical]}\n"

    site = read_site(text.encode(), "s.yaml")

    assert (site.for_subject("web").data_class, site.for_subject("db1").data_class) == ("public", "core")
    assert (site.for_subject("db2").data_class, site.for_subject("db2").roles) == ("core", ("physical",))


def test_what_is_left_blank_declares_nothing() -> None:
    text = "schema: tutela/site/1\ndata_sets:\n- path: /srv\n  important: true\n  reason:\n  backup_by:\n  rpo_hours:\n  encrypted_by:\n"

    (declared,) = read_site(text.encode(), "s.yaml").data_sets or ()

    assert (declared.reason, declared.backup_by, declared.rpo_hours, declared.encrypted_by) == ("", "", None, "")


@pytest.mark.parametrize(("written", "read"), [("yes", "yes"), ("no", "no"), ('"no"', "no"), ("true", "yes")])
def test_an_answer_needs_no_quotes(written: str, read: str) -> None:
    text = f"schema: tutela/site/1\nattestations:\n- {{clause: HL-2.6a, by: a, on: 2026-01-01, expires: 2026-12-31, reference: r, answer: {written}}}\n"
    assert read_site(text.encode(), "s.yaml").attestations[0].answer == read


def test_a_file_in_gbk_is_told_to_be_saved_as_utf_8() -> None:
    with pytest.raises(ContentError, match="save it as UTF-8"):
        read_site("schema: tutela/site/1\nname: 示例\n".encode("gbk"), "s.yaml")
