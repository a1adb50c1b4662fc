"""Scenes: small recorded or written hosts, as YAML.

base: bare-debian            # optional: sources of tests/checks/_base/<name>.yaml come first
now: 2026-11-22T08:00:00Z    # optional
profile: campus-L1           # optional
site: {…}                    # optional: as in a site file, without `schema`
params: {minlen: 8}          # optional
sources:
  /etc/os-release: |         # text: status ok
    ID=debian
  nft -j list ruleset: {status: denied}          # or {status, rc, content}
scans:                       # optional: what was seen from elsewhere; `of` and `from`, the rest as `scan` below says
- {from: 203.0.113.7, of: 192.0.2.40, open: [tcp 443]}
"""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tutela.agreement.rulebook import Content
from tutela.evidence import Bundle, Evidence, Status, Vantage
from tutela.evidence.bundle import write_frames
from tutela.facts.look import Look
from tutela.library import load_content
from tutela.site import Site, read_site

TESTS = Path(__file__).parent
NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)


@cache
def content() -> Content:
    return load_content()


def load(path: Path) -> dict[str, Any]:
    scene = yaml.safe_load(path.read_text("utf-8")) or {}
    sources: dict[str, Any] = {}
    if "base" in scene:
        sources |= load(TESTS / "checks" / "_base" / f"{scene['base']}.yaml").get("sources") or {}
    scene["sources"] = sources | (scene.get("sources") or {}) | dict(scan(**{WORDS.get(k, k): v for k, v in one.items()}) for one in scene.get("scans") or ())
    return scene


WORDS = {"of": "address", "from": "vantage", "open": "opened"}


def scan(
    address: str,
    vantage: str,
    *,
    at: str = "2026-11-22T07:59:00Z",
    tcp: str = "1-65535",
    udp: str = "-",
    missed: str = "0.00",
    answers: str = "65000 closed 0 filtered 0 silent",
    everything: bool = False,
    echo: bool = False,
    identified: bool = True,
    opened: tuple[str, ...] = (),
    end: str = "end",
) -> tuple[str, str]:
    """Name and text of the source that a scan leaves (docs/spec/scan.md)."""
    lines = ["tutela-scan 1", f"of {address}", f"from {vantage}", f"at {at}", "method raw", f"tcp {tcp}", f"udp {udp}", "rounds 2", "lost 0.0000"]
    lines += [
        f"missed {missed}",
        f"answers {answers}",
        *(["everything answers"] if everything else []),
        *(["echo answers"] if echo else []),
        *([] if identified else ["services not asked"]),
        *(f"open {one}" for one in opened),
        end,
    ]
    return f"scan of {address} from {vantage}", "\n".join(lines)


def evidence(name: str, given: Any) -> Evidence:
    if isinstance(given, dict):
        return Evidence(name, Status(given.get("status", "ok")), _bytes(given.get("content", "")), given.get("rc", 0))
    return Evidence(name, Status.OK, _bytes(given))


def _bytes(text: Any) -> bytes:
    # The probe's shell drops newlines at the end.
    return ("" if text is None else str(text)).rstrip("\n").encode()


def bundle(scene: dict[str, Any], subject: str = "scene") -> Bundle:
    sources = [evidence(name, given) for name, given in scene["sources"].items() if given is not False]
    now = scene.get("now", NOW)
    now = now if now.tzinfo else now.replace(tzinfo=UTC)
    return Bundle(
        subject=subject,
        collected_at=now,
        probe="1",
        vantage=Vantage.HOST,
        frames=write_frames(sources),
        sources={source.name: source for source in sources},
    )


def site(scene: dict[str, Any]) -> Site:
    declared = {"schema": "tutela/site/1"} | (scene.get("site") or {})
    return read_site(json.dumps(declared, default=str).encode(), "scene")


def look(scene: dict[str, Any]) -> Look:
    return Look(bundle(scene), site(scene), content().reference)


def plain(value: Any) -> Any:
    """A fact as plain JSON data, for whole-output goldens."""
    if is_dataclass(value):
        made = {field.name: plain(getattr(value, field.name)) for field in fields(value)}
        return {type(value).__name__: made}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted((plain(one) for one in value), key=repr)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return {name: plain(getattr(value, name)) for name in value._fields}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, timedelta):
        return f"{value.total_seconds():g} s"
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    return str(value)
