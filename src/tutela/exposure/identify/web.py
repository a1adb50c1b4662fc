"""HTTP: what the server calls itself, and the databases and control interfaces that speak HTTP, each asked one harmless question.

Nothing that an answer holds is kept but product, version and the status.
"""

from __future__ import annotations

import re

from tutela.exposure.identify.talk import Ask, Finding, Talk, words
from tutela.record import record

_STATUS = re.compile(rb"HTTP/[0-9](?:\.[0-9])? ([1-5][0-9]{2})(?: [^\r\n]*)?\r?\n")
_LENGTH = re.compile(rb"\r?\ncontent-length:[ \t]*([0-9]{1,9})[ \t]*\r?\n", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r?\ntransfer-encoding:[ \t]*chunked", re.IGNORECASE)
_REFUSED = re.compile(rb"user name is empty|authentication (?:required|is enabled)|permission denied|requires authentication", re.IGNORECASE)
_HEAD_END = re.compile(rb"\r?\n\r?\n")
BAD_REQUEST = 400


@record
class Api:
    """A database or control interface: where it usually is, how its pages betray it, and a question that only an open one answers."""

    name: str
    ports: tuple[int, ...]
    path: str
    """What shows that it is this one."""
    sign: bytes
    """Regular expression over headers and body of that page, also of `/`."""
    version: bytes = rb'"[Vv]ersion"\s*:\s*"([^"]{1,40})"'
    question: str | None = None
    """Answered with 200 only to those that may see data; None: the page itself is such a question."""
    body: bytes | None = None
    """Of a POST; None: GET."""
    open: bytes = b""
    """Must be in the open answer."""
    demanded: bytes | None = None
    """A sign in the refusal (401, 403) of the page itself, where authentication hides the other sign."""
    only_here: bool = False
    """On other ports the signs are too common to tell anything."""


APIS = (
    Api("elasticsearch", (9200,), "/", rb'"cluster_name"\s*:|You Know, for Search|X-elastic-product', rb'"number"\s*:\s*"([^"]{1,40})"',
        question="/_cluster/health?filter_path=status", open=rb"status", demanded=rb"security_exception|OpenSearch Security|Elasticsearch|X-elastic-product"),
    Api("couchdb", (5984,), "/", rb'"couchdb"\s*:\s*"Welcome"|Server: CouchDB', question="/_all_dbs?limit=0", open=rb"\["),
    Api("docker", (2375, 2376), "/version", rb'"ApiVersion"\s*:|Server: Docker/', rb'"Version"\s*:\s*"([^"]{1,40})"', question="/info", open=rb"Containers"),
    Api("etcd", (2379, 4001), "/version", rb'"etcdserver"\s*:', rb'"etcdserver"\s*:\s*"([^"]{1,40})"',
        question="/v3/kv/range", body=b'{"key":"AA==","range_end":"AA==","count_only":true}', open=rb'"header"'),
    Api("kubelet", (10250, 10255), "/pods", rb'"kind"\s*:\s*"PodList"', rb"(?!)",
        demanded=rb"\r\n\r\n(?:Unauthorized|Forbidden)", only_here=True),
    Api("kubernetes", (6443, 8001), "/version", rb'"gitVersion"\s*:|"kind"\s*:\s*"Status"', rb'"gitVersion"\s*:\s*"([^"]{1,40})"',
        question="/api/v1/namespaces?limit=1", open=rb"NamespaceList", demanded=rb'"kind"\s*:\s*"Status"'),
    Api("influxdb", (8086,), "/ping", rb"X-Influxdb-Version", rb"X-Influxdb-Version: ?([^\r\n]{1,40})", question="/query?q=SHOW+DATABASES", open=rb"results"),
    Api("consul", (8500, 8501), "/v1/agent/self", rb'"Config"\s*:\s*\{[^}]{0,200}"Datacenter"|X-Consul-|Consul by HashiCorp', question="/v1/agent/members", open=rb"\["),
    Api("jupyter", (8888, 8889), "/api", rb'Server: TornadoServer[\s\S]{0,600}(?:\{"version"|[Jj]upyter)', question="/api/contents?content=0", open=rb'"path"'),
    Api("clickhouse", (8123, 8443), "/ping", rb"X-ClickHouse-", rb"(?!)", question="/?query=SELECT%20version()", open=rb"[0-9]"),
    Api("hadoop yarn", (8088,), "/ws/v1/cluster/info", rb'"clusterInfo"|hadoopVersion', rb'"hadoopVersion"\s*:\s*"([^"]{1,40})"'),
    Api("solr", (8983,), "/solr/admin/info/system?wt=json", rb'"solr-spec-version"', rb'"solr-spec-version"\s*:\s*"([^"]{1,40})"'),
    Api("prometheus", (9090,), "/api/v1/status/buildinfo", rb'"goVersion"\s*:'),
    Api("rabbitmq management", (15672,), "/api/overview", rb"RabbitMQ Management", demanded=rb"RabbitMQ|not_authori[sz]ed"),
)  # fmt: skip
"""From the documentation of each product. Reads only, and of data at most a count or one name."""


def request(address: str, path: str, body: bytes | None = None) -> bytes:
    """One request, after which the server closes."""
    host = f"[{address}]" if ":" in address else address
    head = f"{'GET' if body is None else 'POST'} {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: tutela\r\nAccept: */*\r\nConnection: close\r\n"
    if body is not None:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + (body or b"")


def complete(answer: bytes) -> bool:
    """Headers and the body they announce have come, or what comes is no HTTP."""
    if len(answer) >= 5 and not answer.startswith(b"HTTP/"):
        return True
    end = _HEAD_END.search(answer)
    if end is None:
        return False
    head = answer[: end.end()]
    length = _LENGTH.search(head)
    if length:
        return len(answer) - end.end() >= int(length[1])
    return _CHUNKED.search(head) is not None and answer.endswith(b"0\r\n\r\n")


def status(answer: bytes) -> int | None:
    """200, 401, …; None when this is no HTTP."""
    match = _STATUS.match(answer)
    return int(match[1]) if match else None


def header(answer: bytes, name: bytes) -> bytes | None:
    """Value of the first header of that name; names are compared without regard to case."""
    head = answer[: end.start()] if (end := _HEAD_END.search(answer)) else answer
    for line in head.split(b"\n")[1:]:
        key, colon, value = line.partition(b":")
        if colon and key.strip().lower() == name:
            return value.strip()
    return None


def talk(address: str, port: int) -> Talk:
    """The first page, then the one question of the interface that stands there, or usually stands on this port."""
    first = yield Ask(request(address, "/"), complete)
    code = status(first)
    if code is None:
        return None
    hsts = header(first, b"strict-transport-security")
    strict = None if hsts is None else words(hsts)
    for api in APIS:
        if port not in api.ports and (api.only_here or not _is(api, first)):
            continue
        page = first
        if api.path != "/":
            page = yield Ask(request(address, api.path), complete, fresh=True)
            if not _is(api, page) and not _is(api, first):
                continue
        elif not _is(api, page):
            continue
        version = re.search(api.version, page) or re.search(api.version, first)
        free = _free(status(page))
        if free is not False and api.question is not None:
            answer = yield Ask(request(address, api.question, api.body), complete, fresh=True)
            free = _answered(answer, api)
        return Finding(api.name, words(version[1]) if version else words(header(first, b"server") or b""), without_authentication=free, hsts=strict)
    return Finding("http", words(header(first, b"server") or b""), sure=code != BAD_REQUEST, hsts=strict)


def _is(api: Api, page: bytes) -> bool:
    if status(page) in (401, 403):
        return re.search(api.demanded or api.sign, page) is not None
    return re.search(api.sign, page) is not None


def _free(code: int | None) -> bool | None:
    """200 is an answer to anybody, 401 and 403 are refusals; from others nothing follows."""
    return True if code == 200 else False if code in (401, 403) else None


def _answered(answer: bytes, api: Api) -> bool | None:
    """Did the question get its answer? Some refuse with other codes and words."""
    if status(answer) == 200:
        return True if re.search(api.open, answer) else None
    return False if _REFUSED.search(answer) else _free(status(answer))
