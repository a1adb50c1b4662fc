"""Declared, listening, reachable: the same ports by what people declared, what the host says and what was measured."""

from __future__ import annotations

from typing import Any

from tutela.assess.assessment import Assessment
from tutela.evidence import Unobserved
from tutela.evidence.scan import PREFIX
from tutela.facts import reachable
from tutela.facts.reachable import JoinedPort, Reachable
from tutela.language import Lang, Text
from tutela.report.columns import shortened, width
from tutela.report.inert import inert
from tutela.report.words import COMMA

TITLE = Text("声明、监听、可达", "Declared, listening, reachable")
_HEAD = (
    Text("端口", "port"),
    Text("已批准", "declared"),
    Text("监听", "listening"),
    Text("主机放行", "host lets in"),
    Text("实测（+通 -不通）", "measured (+ open, - shut)"),
)
_PLACES = {
    "external": Text("校外", "external"),
    "campus": Text("校园", "campus"),
    "admin": Text("管理", "admin"),
    "client": Text("客户端", "client"),
    "behind-nat": Text("NAT 后", "behind NAT"),
}
_ALL = {"external", "campus", "admin"}
_NOTHING, _UNKNOWN = "-", "?"
_EVERYONE = Text("所有人", "everyone")
_LOOKED = Text("从 {places} 探测；", "Looked from: {places}. ")
_NOWHERE = Text("没有从别处看到；", "Not seen from elsewhere. ")
_UDP = Text("从 {places} 测试了 UDP。", "UDP was tested from: {places}.")
_NO_UDP = Text("UDP 未测试。", "UDP was not tested.")
_UNCLEAR = Text("“?”：问过而无从判断（UDP 无应答，或探测不完整）。", '"?": asked, and cannot be told (no answer over UDP, or an incomplete scan).')
_UNASKED = Text("没有从 {places} 询问开放端口上是什么服务。", "What answers on open ports was not asked from: {places}.")
_AMPLIFIES = Text(
    "{port}（{service}）以 {answered} 字节应答 {asked} 字节的询问：伪造来源地址即可借它攻击他人。",
    "{port} ({service}) answers {asked} bytes with {answered}: with a forged sender it floods somebody else.",
)
NOTABLE = 5
"""So many times the question: an answer that is told."""
_UNTESTED = Text("未测试", "not tested")
_NARROWEST, _WIDEST = 8, 24
"""Columns of a name."""
_GAPS = 2 + 4 * 2


def joined(one: Assessment) -> Reachable | None:
    """The joined view; None where nobody was asked to look from elsewhere."""
    if not any(one.look.names(PREFIX)):
        return None
    return one.look.fact(reachable.parse)


def rows(found: Reachable, lang: Lang, columns: int = 0) -> list[list[str]]:
    """Heading and a row a port, in words; names are shortened to what fits into so many columns (0: all of it)."""
    if isinstance(found.ports, Unobserved):
        return []
    made = [[word.in_(lang) for word in _HEAD], *(_row(port, lang) for port in found.ports)]
    if columns:
        taken = sum(max(width(row[at]) for row in made) for at in (0, 3, 4))
        room = min(_WIDEST, max(_NARROWEST, (columns - _GAPS - taken) // 2))
        made = [[row[0], shortened(row[1], room), shortened(row[2], room), *row[3:]] for row in made]
    return made


def footnote(found: Reachable, lang: Lang) -> str:
    """From where one looked, and what was left out."""
    looked = _LOOKED.with_values(places=_places(found.looked, lang)) if found.looked else _NOWHERE
    said = [_UDP.with_values(places=_places(found.udp, lang)) if found.udp else _NO_UDP]
    if found.unasked:
        said.append(_UNASKED.with_values(places=_places(found.unasked, lang)))
    if not isinstance(found.ports, Unobserved) and any(one.unclear_from for one in found.ports):
        said.append(_UNCLEAR)
    ports = () if isinstance(found.ports, Unobserved) else found.ports
    for one in ports:
        if one.asked_bytes and one.answered_bytes is not None and one.answered_bytes >= NOTABLE * one.asked_bytes:
            service = inert(one.service or _UNKNOWN)
            said.append(_AMPLIFIES.with_values(port=f"{one.port}/{one.protocol}", service=service, asked=one.asked_bytes, answered=one.answered_bytes))
    return looked.in_(lang) + Text("", " ").in_(lang).join(one.in_(lang) for one in said)


def document(found: Reachable) -> dict[str, Any]:
    """The joined view as plain data."""
    return {
        "looked_from": list(found.looked),
        "udp_tested": bool(found.udp),
        "udp_looked_from": list(found.udp),
        "services_not_asked_from": list(found.unasked),
        "ports": None
        if isinstance(found.ports, Unobserved)
        else [
            {
                "port": one.port,
                "protocol": one.protocol,
                "declared": one.declared,
                "listening": None if one.listening is None else list(one.listening),
                "host_lets_in": None if isinstance(one.host, Unobserved) else list(one.host),
                "open_from": list(one.open_from),
                "closed_from": list(one.closed_from),
                "unclear_from": list(one.unclear_from),
                "service": one.service,
                "asked_bytes": one.asked_bytes,
                "answered_bytes": one.answered_bytes,
            }
            for one in found.ports
        ],
    }


def _row(one: JoinedPort, lang: Lang) -> list[str]:
    listening = _NOTHING if one.listening is None else ", ".join(one.listening)
    if one.service is not None and one.service not in listening:
        listening = f"{listening} ({one.service})"
    host = _UNKNOWN if isinstance(one.host, Unobserved) else _EVERYONE.in_(lang) if set(one.host) >= _ALL else _places(one.host, lang) or _NOTHING
    signs = (("+", one.open_from), ("-", one.closed_from), ("?", one.unclear_from))
    measured = " ".join(sign + _place(place, lang) for sign, places in signs for place in places)
    return [f"{one.port}/{one.protocol}", inert(one.declared or _NOTHING), inert(listening), host, measured or _UNTESTED.in_(lang)]


def _place(place: str, lang: Lang) -> str:
    return _PLACES[place].in_(lang) if place in _PLACES else place


def _places(places: tuple[str, ...], lang: Lang) -> str:
    return COMMA.in_(lang).join(_place(place, lang) for place in places)
