"""Services of open ports as lines for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tutela.exposure.model import Service, Tls
from tutela.language import Lang, Text
from tutela.report.columns import wrapped
from tutela.report.inert import inert

COLUMNS = 80
GUARDED = Text("需要认证", "authentication demanded")
OPEN_TO_ALL = Text("！无需认证即可访问", "! answers without authentication")
AMPLIFIES = Text(
    "！应答是询问的 {times} 倍（问 {asked} 字节，答 {answered} 字节），可被利用来攻击他人",
    "! answers {times} times what it is asked ({answered} bytes for {asked}): can be misused to flood others",
)
NOTABLE = 5
_NAMES = {None: Text("未能识别", "not recognised")}
_OLD = frozenset({"SSLv2", "SSLv3", "TLSv1", "TLSv1.1"})


def lines(service: Service, where: str, lang: Lang) -> Iterator[str]:
    """One line, and under it what one must know: an open door, and what TLS is worth."""
    name = service.name if service.name is not None else _NAMES[None].in_(lang)
    space = " " * (len(where) + 2)
    guarded = GUARDED.in_(lang) if service.without_authentication is False else ""
    yield from wrapped(inert("  ".join(filter(None, (name, service.said, guarded)))), COLUMNS, first=f"{where}  ", rest=space)
    if service.without_authentication:
        yield space + OPEN_TO_ALL.in_(lang)
    if service.amplification is not None and service.amplification >= NOTABLE:
        times = AMPLIFIES.with_values(times=round(service.amplification), asked=service.asked_bytes, answered=service.answered_bytes)
        yield from wrapped(times.in_(lang), COLUMNS, first=space, rest=space)
    if service.tls is not None:
        yield from wrapped(inert(_tls(service.tls, lang, web=service.name == "https")), COLUMNS, first=space, rest=space)


def _tls(tls: Tls, lang: Lang, *, web: bool) -> str:
    comma = Text("，", ", ").in_(lang)
    end = Text("；", "; ").in_(lang)
    taken = comma.join(_version(version) + (Text("（已过时）", " (outdated)").in_(lang) if version in _OLD else "") for version in tls.versions)
    parts = [taken or Text("TLS，握手被拒绝", "TLS, no handshake").in_(lang)]
    if tls.untested:
        parts.append(Text("未测试：", "not tested: ").in_(lang) + comma.join(map(_version, tls.untested)))
    if tls.ends:
        words = Text("证书 {subject}，有效期至 {ends}", "certificate {subject} until {ends}").with_values(subject=tls.subject or "-", ends=tls.ends[:10])
        parts.append(comma.join(filter(None, (words.in_(lang), tls.key))))
    if tls.trusted is False:
        parts.append(Text("证书链不受信任", "chain not trusted").in_(lang))
    if tls.stapled is False:
        parts.append(Text("未装订 OCSP 响应", "OCSP answer not stapled").in_(lang))
    if web and tls.versions and tls.hsts is None:
        parts.append(Text("无 HSTS", "no HSTS").in_(lang))
    return end.join(parts)


def _version(name: str) -> str:
    return {"SSLv2": "SSL 2.0", "SSLv3": "SSL 3.0", "TLSv1": "TLS 1.0"}.get(name, name.replace("TLSv", "TLS "))


def warning(services: Sequence[Service], lang: Lang, *, many: bool) -> Iterator[str]:
    """The end of the report: which services answer anybody. Nothing when none does."""
    if not services:
        return
    count = len(services)
    words = Text(
        "警告：{count} 个服务无需认证即可访问，能连到它的人都可使用；请立即关闭端口或启用认证：",
        "WARNING: {count} {answer} without authentication to whoever can reach the port; close it or demand authentication at once:",
    ).with_values(count=count, answer="service answers" if count == 1 else "services answer")
    yield from wrapped(words.in_(lang), COLUMNS)
    for service in services:
        address = f"{service.address}  " if many else ""
        yield from wrapped(inert(f"{address}{service.port}/{service.protocol}  {service.name}"), COLUMNS, first="  ! ", rest="    ")
