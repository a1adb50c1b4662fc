"""The joined view: only where somebody looked from elsewhere, the same in every form, hostile words harmless."""

from __future__ import annotations

import json
from importlib import resources

import jsonschema
import pytest

from tests import scenes
from tests.report.standard import judged, options
from tutela.language import Lang
from tutela.report import FORMATS

SCENE = scenes.load(scenes.TESTS / "facts" / "reachable" / "three-answers.yaml") | {"subject": "web1", "profiles": ["small"]}
HOSTILE = 'tcp 4444 {"name":"x\\u001b[2J<script>","said":"","tls":null,"without_authentication":null}'
TABLE = """\
Declared, listening, reachable
  port      declared  listening  host lets in  measured (+ open, - shut)
  22/tcp    -         sshd       admin         +admin -external
  443/tcp   Web site  nginx      everyone      +admin +external
  4444/tcp  -         -          -             +external
  8443/tcp  Old site  -          -             -external
  Looked from: admin, external. UDP was not tested.
"""


def said(form: str, lang: Lang = Lang.EN, scene: dict[str, object] = SCENE) -> str:
    return "".join(FORMATS[form].render((judged(scene),), lang, options()))


def test_text_has_a_table_of_the_three_answers() -> None:
    assert TABLE in said("text")


@pytest.mark.parametrize("form", ["text", "html"])
@pytest.mark.parametrize(("lang", "title"), [(Lang.ZH, "声明、监听、可达"), (Lang.EN, "Declared, listening, reachable")])
def test_people_read_it_in_their_language(form: str, lang: Lang, title: str) -> None:
    assert title in said(form, lang)
    assert title not in said(form, lang, SCENE | {"sources": {name: text for name, text in SCENE["sources"].items() if not name.startswith("scan of ")}})


def test_json_is_valid_and_says_nothing_where_nobody_looked() -> None:
    schema = json.loads((resources.files("tutela") / "report/assessment-1.schema.json").read_bytes())
    document = json.loads(said("json"))
    jsonschema.Draft202012Validator(schema).validate(document)

    assert document["exposure"]["looked_from"] == ["admin", "external"]
    assert document["exposure"]["ports"][2] == {
        "port": 4444, "protocol": "tcp", "declared": None, "listening": None, "host_lets_in": [], "open_from": ["external"], "closed_from": [],
        "unclear_from": [], "service": None, "asked_bytes": None, "answered_bytes": None,
    }  # fmt: skip
    assert json.loads(said("jsonl")) == document
    assert "exposure" not in json.loads(said("json", scene=SCENE | {"sources": {}}))


def test_where_nobody_asked_what_answers_this_is_said() -> None:
    name, text = scenes.scan("192.0.2.40", "203.0.113.7", opened=("tcp 443",), identified=False)
    scene = SCENE | {"sources": SCENE["sources"] | {name: text}}

    assert "What answers on open ports was not asked from: external." in " ".join(said("text", scene=scene).split())
    assert json.loads(said("json", scene=scene))["exposure"]["services_not_asked_from"] == ["external"]
    assert "was not asked from" not in said("text")


UDP_TABLE = """\
  53/udp    -         unbound    -             ?external
  161/udp   -         snmpd      -             +external
  443/tcp   Web site  -          -             ?external
  8443/tcp  Old site  -          -             ?external
  9999/udp  -         collectd   -             not tested
  Looked from: external. UDP was tested from: external. "?": asked, and cannot
  be told (no answer over UDP, or an incomplete scan).
"""
LISTENING = """\
udp   UNCONN 0      0            0.0.0.0:53        0.0.0.0:*    users:(("unbound",pid=500,fd=5)) ino:1 sk:1
udp   UNCONN 0      0            0.0.0.0:161       0.0.0.0:*    users:(("snmpd",pid=501,fd=5)) ino:2 sk:2
udp   UNCONN 0      0            0.0.0.0:9999      0.0.0.0:*    users:(("collectd",pid=502,fd=5)) ino:3 sk:3
"""


def test_an_answer_much_larger_than_its_question_is_told() -> None:
    snmp = 'udp 161 {"answered_bytes":1200,"asked_bytes":43,"name":"snmp","said":"","tls":null,"without_authentication":true}'
    small = 'udp 53 {"answered_bytes":50,"asked_bytes":17,"name":"dns","said":"","tls":null,"without_authentication":null}'
    name, text = scenes.scan("192.0.2.40", "203.0.113.7", udp="53,161", opened=(snmp, small))
    scene = SCENE | {"sources": SCENE["sources"] | {name: text}}

    words = " ".join(said("text", scene=scene).split())
    assert "161/udp (snmp) answers 43 bytes with 1200: with a forged sender it floods somebody else." in words
    assert "53/udp (dns)" not in words
    ports = {one["port"]: (one["asked_bytes"], one["answered_bytes"]) for one in json.loads(said("json", scene=scene))["exposure"]["ports"]}
    assert (ports[161], ports[53], ports[443]) == ((43, 1200), (17, 50), (None, None))


def test_udp_that_was_not_asked_or_said_nothing_is_never_shown_as_closed() -> None:
    sources = {name: text for name, text in SCENE["sources"].items() if not name.startswith("scan of ")}
    name, text = scenes.scan("192.0.2.40", "203.0.113.7", udp="53,161", opened=("udp 161",), end="cut")

    words = said("text", scene=SCENE | {"sources": sources | {"ss -H -lntupeO": LISTENING, name: text}})

    assert UDP_TABLE in words, words


@pytest.mark.parametrize("form", ["text", "html", "json"])
def test_what_a_service_calls_itself_steers_nothing(form: str) -> None:
    name, text = scenes.scan("192.0.2.40", "203.0.113.7", opened=(HOSTILE,))
    words = said(form, scene=SCENE | {"sources": SCENE["sources"] | {name: text}})

    assert "\x1b" not in words
    assert "<script>" not in words or form != "html"
