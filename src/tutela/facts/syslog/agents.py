"""Other shippers: systemd-journal-upload, Fluent Bit, Vector, Filebeat.

Read is where they send to; that everything required is sent is believed only of an unfiltered journal input, anything else stays undecided.
Sources: systemd-journal-upload(8), the manuals of Fluent Bit (classic format), Vector (YAML, TOML) and Filebeat.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from typing import Any

from tutela.evidence import Reason, Status, Unobserved
from tutela.facts import listing, plain_yaml
from tutela.facts.look import Look
from tutela.facts.plain_yaml import Flat
from tutela.facts.syslog import coverage
from tutela.facts.syslog.coverage import Mask
from tutela.facts.syslog.model import Route, Routing
from tutela.language import Text

JOURNAL_UPLOAD = "/etc/systemd/journal-upload.conf"
FLUENT_BIT = ("/etc/fluent-bit/fluent-bit.conf", "/etc/td-agent-bit/td-agent-bit.conf")
VECTOR = ("/etc/vector/vector.yaml", "/etc/vector/vector.toml")
FILEBEAT = "/etc/filebeat/filebeat.yml"
MAX_SECTIONS = 500


def journal_upload(look: Look) -> Routing:
    """URL= of [Upload]; the last drop-in that sets it wins."""
    url, where, files, unread = "", JOURNAL_UPLOAD, [], []
    dropins = listing.matching(look, JOURNAL_UPLOAD + ".d/*.conf")
    if isinstance(dropins, Unobserved):
        unread.append(dropins)
        dropins = ()
    for name in (JOURNAL_UPLOAD, *dropins):
        if look.source(name).status is Status.ABSENT:
            continue
        text = look.text(name)
        if isinstance(text, Unobserved):
            unread.append(text)
            continue
        files.append(name)
        for line in text.split("\n"):
            key, equals, value = line.strip().partition("=")
            if equals and key.strip() == "URL":
                url, where = value.strip(), name
    if not url:
        return Routing((), tuple(files), tuple(unread))
    host, port = _address(url, 19532)
    # The journal itself is the queue: the state file says how far it was sent.
    route = Route(host, port, "http", not url.startswith("http:"), True, coverage.EVERYTHING, where)
    return Routing((route,), tuple(files), tuple(unread))


def fluent_bit(look: Look) -> Routing | None:
    """Outputs of the classic format; None when Fluent Bit has no configuration here."""
    name = next((one for one in FLUENT_BIT if look.source(one).status is not Status.ABSENT), None)
    if name is None:
        return None
    text = look.text(name)
    if isinstance(text, Unobserved):
        return Routing((), (), (text,))
    sections = list(_sections(text))
    unread = tuple(_strange(name, "@include") for line in text.split("\n") if line.strip().lower().startswith("@include"))
    inputs = [one for kind, one in sections if kind == "INPUT"]
    filtered = any(kind == "FILTER" and one.get("name", "").lower() in ("grep", "lua", "throttle", "rewrite_tag", "wasm") for kind, one in sections)
    whole = any(one.get("name") == "systemd" and "systemd_filter" not in one for one in inputs)
    mask = coverage.EVERYTHING if whole and not filtered else coverage.UNDECIDED
    queue = any(one.get("storage.type") == "filesystem" for one in inputs)
    routes = []
    for kind, one in sections:
        if kind != "OUTPUT" or one.get("name", "") in ("stdout", "file", "null", "counter", "exit", "prometheus_exporter"):
            continue
        mode = one.get("mode", "udp") if one.get("name") == "syslog" else "tcp"
        tls = mode == "tls" or one.get("tls", "off") == "on"
        port = one.get("port", "")
        sent = mask if one.get("match", "*") == "*" else coverage.UNDECIDED
        host = one.get("host", "") or _address(one.get("brokers", ""), 9092)[0]
        number = int(port) if port.isascii() and port.isdecimal() and len(port) <= 5 else None
        routes.append(Route(host, number, "udp" if mode == "udp" else "tcp", tls, queue, sent, name))
    return Routing(tuple(routes), (name,), unread)


def _sections(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    kind, count = "", 0
    values: dict[str, str] = {}
    for line in text.split("\n"):
        line = line.strip()
        found = re.fullmatch(r"\[([A-Za-z_]{1,40})\]", line)
        if found is not None:
            if kind:
                yield kind, values
            kind, values, count = found[1].upper(), {}, count + 1
            if count > MAX_SECTIONS:
                return
        elif line and not line.startswith("#"):
            key, _, value = line.replace("\t", " ").partition(" ")
            values[key.lower()] = value.strip().lower()
    if kind:
        yield kind, values


def vector(look: Look) -> Routing | None:
    """Sinks of /etc/vector/vector.yaml or .toml; None when there is neither."""
    for name in VECTOR:
        if look.source(name).status is Status.ABSENT:
            continue
        text = look.text(name)
        if isinstance(text, Unobserved):
            return Routing((), (), (text,))
        flat = plain_yaml.read(text) if name.endswith(".yaml") else _toml(text)
        if flat is None:
            return Routing((), (name,), (_strange(name, "YAML/TOML"),))
        return Routing(tuple(_sinks(flat, name)), (name,))
    return None


def _sinks(flat: Flat, name: str) -> Iterator[Route]:
    kinds = {path.split(".")[1]: values[0] for path, values in flat.items() if re.fullmatch(r"sinks\.[^.]+\.type", path)}
    journals = {path.split(".")[1] for path, values in flat.items() if re.fullmatch(r"sources\.[^.]+\.type", path) and values[0] == "journald"}
    narrowed = {path.split(".")[1] for path in flat if re.match(r"sources\.[^.]+\.(?:include|exclude)_(?:units|matches)", path)}
    for sink, kind in kinds.items():
        if kind in ("console", "file", "blackhole", "prometheus_exporter"):
            continue
        values = {path.removeprefix(f"sinks.{sink}."): value for path, value in flat.items() if path.startswith(f"sinks.{sink}.")}
        mask = coverage.EVERYTHING if set(values.get("inputs", ())) & (journals - narrowed) else coverage.UNDECIDED
        queue = values.get("buffer.type", ("memory",))[0] == "disk"
        tls = values.get("tls.enabled", ("false",))[0] == "true"
        places = [one for key in ("address", "endpoint", "endpoints", "uri", "bootstrap_servers") for one in values.get(key, ())]
        for place in places or [""]:
            host, port = _address(place, None)
            protocol = values.get("mode", ("tcp",))[0] if kind in ("socket", "syslog") else "http"
            yield Route(host, port, protocol, tls or place.startswith("https:"), queue, mask, name)


def _toml(text: str) -> Flat | None:
    try:
        data: Any = tomllib.loads(text)
    except (ValueError, RecursionError):
        return None
    flat: dict[str, tuple[str, ...]] = {}
    todo: list[tuple[str, Any]] = [("", data)]
    while todo:
        path, value = todo.pop()
        if isinstance(value, dict):
            todo += [(f"{path}.{key}".lstrip("."), one) for key, one in value.items()]
        elif isinstance(value, list):
            flat[path] = tuple(str(one) for one in value if not isinstance(one, (dict, list)))
        else:
            flat[path] = (str(value).lower() if isinstance(value, bool) else str(value),)
    return flat


def filebeat(look: Look) -> Routing | None:
    """`output.*` of filebeat.yml; None when Filebeat has no configuration here."""
    if look.source(FILEBEAT).status is Status.ABSENT:
        return None
    text = look.text(FILEBEAT)
    if isinstance(text, Unobserved):
        return Routing((), (), (text,))
    flat = plain_yaml.read(text)
    if flat is None:
        return Routing((), (FILEBEAT,), (_strange(FILEBEAT, "YAML"),))
    mask: Mask = coverage.UNDECIDED
    for path, values in flat.items():
        found = re.fullmatch(r"(filebeat\.inputs\.\d+)\.type", path)
        if found and values[0] == "journald" and not any(one.startswith((f"{found[1]}.include_matches", f"{found[1]}.units")) for one in flat):
            mask = coverage.EVERYTHING if flat.get(f"{found[1]}.enabled", ("true",))[0] != "false" else mask
    routes = []
    for path, values in flat.items():
        output = re.fullmatch(r"output\.(\w+)\.hosts", path)
        if output is None or flat.get(f"output.{output[1]}.enabled", ("true",))[0] == "false":
            continue
        secure = any(one.startswith(f"output.{output[1]}.ssl") for one in flat) and flat.get(f"output.{output[1]}.ssl.enabled", ("true",))[0] != "false"
        for place in values:
            host, port = _address(place, None)
            # Filebeat keeps how far it has read: the files and the journal are its queue.
            routes.append(Route(host, port, "tcp", secure or place.startswith("https:"), True, mask, FILEBEAT))
    return Routing(tuple(routes), (FILEBEAT,))


def _address(place: str, default: int | None) -> tuple[str, int | None]:
    """`https://user@host:9200/path`, `host:5044`, `[2001:db8::1]:514` -> host and port."""
    rest = re.split(r"[/?]", place.split("://", 1)[-1], maxsplit=1)[0].rpartition("@")[2]
    found = re.fullmatch(r"\[([^\]]*)\](?::(\d{1,5}))?|([^:]*)(?::(\d{1,5}))?", rest)
    if found is None:
        return rest, default
    host = found[1] if found[1] is not None else found[3]
    port = found[2] or found[4]
    return host or "", int(port) if port else default


def _strange(name: str, what: str) -> Unobserved:
    return Unobserved(Reason.FORMAT, name, Text(f"无法理解：{what}", f"not understood: {what}"))
