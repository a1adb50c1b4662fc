"""Services that Debian does not have, or that are too big for a test, by their specifications: what they answer to what they are asked.

`python -m tests.exposure.made_up CERTIFICATE KEY` listens on all the ports in SERVERS; `--only PORT…` on these, without TLS.
"""

import contextlib
import socketserver
import ssl
import struct
import sys
import threading
import time


def http(status: str, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def bson(**fields: object) -> bytes:
    """A document of bool, int, float, str, list of documents and None (bsonspec.org)."""
    body = b""
    for name, value in fields.items():
        key = name.encode() + b"\0"
        if isinstance(value, bool):
            body += b"\x08" + key + bytes((value,))
        elif isinstance(value, int):
            body += b"\x10" + key + struct.pack("<i", value)
        elif isinstance(value, float):
            body += b"\x01" + key + struct.pack("<d", value)
        elif isinstance(value, str):
            body += b"\x02" + key + struct.pack("<i", len(value.encode()) + 1) + value.encode() + b"\0"
        else:
            body += b"\x04" + key + bson(**{str(number): one for number, one in enumerate(value)})  # type: ignore[call-overload]
    return struct.pack("<i", len(body) + 5) + body + b"\0"


def op_msg(**fields: object) -> bytes:
    payload = struct.pack("<I", 0) + b"\0" + bson(**fields)
    return struct.pack("<iiii", 16 + len(payload), 77, 1, 2013) + payload


def framed(body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + body


def rpc(*values: int) -> bytes:
    body = b"tute" + struct.pack(f">{len(values)}I", *values)
    return struct.pack(">I", 0x80000000 | len(body)) + body


def ber(tag: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return bytes((tag,)) + (bytes((len(body),)) if len(body) < 128 else b"\x82" + struct.pack(">H", len(body))) + body


def entry(number: int, name: bytes, **attributes: bytes) -> bytes:
    listed = (ber(0x30, ber(4, key.encode()), ber(0x31, ber(4, value))) for key, value in attributes.items())
    return ber(0x30, ber(2, bytes((number,))), ber(0x64, ber(4, name), ber(0x30, *listed)))


def done(number: int, code: int) -> bytes:
    return ber(0x30, ber(2, bytes((number,))), ber(0x65, ber(10, bytes((code,))), ber(4), ber(4)))


_HELLO = op_msg(isWritablePrimary=True, maxBsonObjectSize=16777216, maxWireVersion=17, minWireVersion=0, readOnly=False, ok=1.0)
_BUILD = op_msg(version="6.0.14", gitVersion="25225db95574916fecab3af75b184409f8713aef", ok=1.0)
_ROOT = entry(1, b"", namingContexts=b"dc=example,dc=net", vendorName=b"Example Directory")
_SMB2 = framed(b"\xfeSMB" + b"\x40\0" + bytes(10) + b"\1" + bytes(47) + b"\x41\0" + b"\1\0" + b"\2\3" + bytes(60))
_SMB1 = framed(b"\xffSMB\x72" + bytes(4) + b"\x88" + bytes(22) + b"\x11\0\0\3" + bytes(32))
_AMQP = (
    b"\0\x0a\0\x0a\0\x09" + framed(b"\7productS" + framed(b"RabbitMQ") + b"\7versionS" + framed(b"3.12.1")) + framed(b"PLAIN AMQPLAIN") + framed(b"en_US")
)  # fmt: skip
_X11 = struct.pack("<BBHHH", 1, 0, 11, 0, 16) + bytes(16) + struct.pack("<H", 11) + bytes(14) + b"The X.Org F.".ljust(24)
_TDS_ANSWER = b"\4\1\0\x19\0\0\1\0" + b"\0\0\6\0\6\xff" + b"\x0f\0\x07\xd0\0\0" + bytes(5)

CONVERSATIONS: dict[str, dict[bytes, bytes]] = {
    "mongodb": {b"hello\0": _HELLO, b"buildInfo\0": _BUILD, b"listDatabases\0": op_msg(databases=[], totalSize=0, ok=1.0)},
    "mongodb guarded": {b"hello\0": _HELLO, b"buildInfo\0": _BUILD, b"listDatabases\0": op_msg(ok=0.0, errmsg="command listDatabases requires authentication", code=13, codeName="Unauthorized")},
    "docker": {
        b"GET / ": http("404 Not Found", b'{"message":"page not found"}', "Server: Docker/24.0.7 (linux)"),
        b"GET /version ": http("200 OK", b'{"Platform":{"Name":""},"Version":"24.0.7","ApiVersion":"1.43"}', "Api-Version: 1.43"),
        b"GET /info ": http("200 OK", b'{"ID":"A","Containers":3}'),
    },
    "kubelet": {b"GET / ": http("404 Not Found", b"404 page not found\n"), b"GET /pods ": http("401 Unauthorized", b"Unauthorized")},
    "kubelet open": {b"GET / ": http("404 Not Found", b"404 page not found\n"), b"GET /pods ": http("200 OK", b'{"kind":"PodList","apiVersion":"v1","items":[]}')},
    "elasticsearch": {
        b"GET / ": http("200 OK", b'{"name":"n","cluster_name":"c","version":{"number":"8.11.1"},"tagline":"You Know, for Search"}', "X-elastic-product: Elasticsearch"),
        b"GET /_cluster/health": http("200 OK", b'{"status":"green"}'),
    },
    "elasticsearch guarded": {b"GET / ": http("401 Unauthorized", b'{"error":{"root_cause":[{"type":"security_exception"}]},"status":401}', 'WWW-Authenticate: Basic realm="security"')},
    "couchdb": {
        b"GET / ": http("200 OK", b'{"couchdb":"Welcome","version":"3.3.2"}\n', "Server: CouchDB/3.3.2 (Erlang OTP/24)"),
        b"GET /_all_dbs": http("401 Unauthorized", b'{"error":"unauthorized"}'),
    },
    "influxdb": {
        b"GET / ": http("404 Not Found", b"404 page not found\n"),
        b"GET /ping ": http("204 No Content", b"", "X-Influxdb-Version: 1.8.10"),
        b"GET /query": http("200 OK", b'{"results":[{"statement_id":0}]}'),
    },
    "consul": {
        b"GET / ": http("301 Moved Permanently", b"", "Location: /ui/"),
        b"GET /v1/agent/self ": http("200 OK", b'{"Config":{"Datacenter":"dc1","Version":"1.17.0"}}', "X-Consul-Default-Acl-Policy: allow"),
        b"GET /v1/agent/members ": http("200 OK", b'[{"Name":"a"}]'),
    },
    "jupyter": {
        b"GET / ": http("302 Found", b"", "Server: TornadoServer/6.3", "Location: /tree"),
        b"GET /api ": http("200 OK", b'{"version": "2.7.0"}', "Server: TornadoServer/6.3"),
        b"GET /api/contents": http("403 Forbidden", b'{"message": "Forbidden", "reason": null}'),
    },
    "guarded pages": {b"GET / ": http("401 Unauthorized", b"<html><title>401 Authorization Required</title></html>", "Server: nginx/1.22.1", 'WWW-Authenticate: Basic realm="a"')},
    "any page": {b"GET /": http("200 OK", b"<html>the application</html>", "Server: app")},
    "epmd": {b"\0\1n": b"\0\0\x11\x11name rabbit at port 25672\n"},
    "rdp": {b"\x03\x00\x00\x13\x0e\xe0": bytes.fromhex("030000130ed000001234000300080005000000")},
    "rdp old": {b"\x03\x00\x00\x13\x0e\xe0": bytes.fromhex("030000130ed000001234000200080001000000")},
    "vnc": {b"": b"RFB 003.008\n", b"RFB 003.008\n": b"\2\2\1"},
    "vnc guarded": {b"": b"RFB 003.008\n", b"RFB 003.008\n": b"\1\2"},
    "vnc old": {b"": b"RFB 003.003\n", b"RFB 003.003\n": struct.pack(">I", 1)},
    "zookeeper": {
        framed(bytes(45))[:12]: framed(bytes(4) + struct.pack(">I", 5000) + b"\1" * 8 + struct.pack(">I", 16) + b"\2" * 16 + b"\0"),
        b"\0\0\0\1/\0": framed(struct.pack(">iqi", 1, 5, 0) + struct.pack(">I", 0)),
        b"srvr": b"Zookeeper version: 3.8.0-5a02a05eddb59aee6ac762f7ea82e92a68eb9c0f, built on 2022-02-25 08:49 UTC\nMode: standalone\n",
    },
    "smb": {b"\xfeSMB": _SMB2, b"\xffSMB": _SMB1},
    "smtp": {b"": b"220-mail.example.net\r\n220 ESMTP ready\r\n", b"EHLO ": b"250-mail.example.net\r\n250-STARTTLS\r\n250 HELP\r\n", b"STARTTLS\r\n": b"220 go ahead\r\n"},
    "late imap": {b"late": b"* OK IMAP4rev1 ready\r\n"},
    "imap": {b"": b"* OK IMAP4rev1 ready\r\n", b"a STARTTLS": b"a OK Begin\r\n"},
    "pop3": {b"": b"+OK POP3 ready\r\n", b"STLS": b"+OK Begin\r\n"},
    "telnet": {b"": b"\xff\xfd\x18\xff\xfd\x20"},
    "nats": {b"": b'INFO {"server_id":"N","version":"2.9.10","go":"go1.19","auth_required":false}\r\n'},
    "x11": {b"l\0\x0b\0": _X11},
    "x11 guarded": {b"l\0\x0b\0": struct.pack("<BBHHH", 0, 22, 11, 0, 6) + b"No protocol specified\n\0\0"},
    "rpcbind": {b"\0\1\x86\xa0\0\0\0\2\0\0\0\4": rpc(1, 0, 0, 0, 0, 1, 100000, 2, 6, 111, 1, 100005, 3, 6, 20048, 0)},
    "nfs": {b"\0\1\x86\xa3\0\0\0\3": rpc(1, 0, 0, 0, 0), b"\0\1\x86\xa3\0\0\0\4": rpc(1, 0, 0, 0, 2, 3, 3)},
    "ldap": {b"1.3.6.1.4.1.1466.20037": ber(0x30, ber(2, b"\1"), ber(0x78, ber(10, b"\0"), ber(4), ber(4))), b"\2\1\1\x63": _ROOT + done(1, 0), b"\2\1\2\x63": entry(2, b"dc=example,dc=net") + done(2, 0)},
    "ldap guarded": {b"\2\1\1\x63": _ROOT + done(1, 0), b"\2\1\2\x63": done(2, 50)},
    "cassandra": {
        b"\x04\0\0\1\5": b"\x84\0\0\1\6" + framed(b"\0\1\0\x0bCQL_VERSION\0\1\0\x053.4.6"),
        b"\x04\0\0\2\1": b"\x84\0\0\2\2" + bytes(4),
    },
    "amqp": {b"AMQP\0\0\x09\1": b"\1\0\0" + framed(_AMQP) + b"\xce"},
    "kafka": {b"\0\x12\0\0tu": framed(b"tu\x74\1" + bytes(2) + struct.pack(">Ihhh", 1, 18, 0, 3)), b"\0\3\0\0tu": framed(b"tu\x74\2" + bytes(8))},
    "mssql": {b"\x12\1": _TDS_ANSWER},
}  # fmt: skip

SERVERS = {
    27017: "mongodb", 27018: "mongodb guarded", 2375: "docker", 10250: "kubelet", 10255: "kubelet open", 9200: "elasticsearch", 9201: "elasticsearch guarded",
    5984: "couchdb", 8086: "influxdb", 8500: "consul", 8888: "jupyter", 3389: "rdp", 33890: "rdp old", 5900: "vnc", 5901: "vnc guarded", 5902: "vnc old",
    2181: "zookeeper", 445: "smb", 25: "smtp", 143: "imap", 993: "imap", 110: "pop3", 23: "telnet", 4222: "nats", 6000: "x11", 6001: "x11 guarded",
    111: "rpcbind", 2049: "nfs", 389: "ldap", 636: "ldap guarded", 9042: "cassandra", 5672: "amqp", 9092: "kafka", 1433: "mssql", 40000: "elasticsearch", 40143: "late imap", 8081: "guarded pages", 4369: "epmd", 2376: "any page", 10256: "guarded pages", 2222: "late imap",
}  # fmt: skip
UPGRADES = (b"STARTTLS\r\n", b"a STARTTLS", b"STLS", b"\x03\x00\x00\x13\x0e\xe0", b"1.3.6.1.4.1.1466.20037")
"""After the answer to these, TLS begins."""
INSIDE = frozenset({25, 143, 110, 33890, 389})
TLS = frozenset({10250, 993, 636, 40000})
FOUND: dict[int, tuple[str, str, bool | None]] = {
    27017: ("mongodb", "6.0.14", True),
    27018: ("mongodb", "6.0.14", False),
    2375: ("docker", "24.0.7", True),
    10250: ("kubelet", "", False),
    10255: ("kubelet", "", True),
    9200: ("elasticsearch", "8.11.1", True),
    9201: ("elasticsearch", "", False),
    5984: ("couchdb", "3.3.2", False),
    8086: ("influxdb", "1.8.10", True),
    8500: ("consul", "1.17.0", True),
    8888: ("jupyter", "2.7.0", False),
    3389: ("rdp", "NLA", None),
    33890: ("rdp", "TLS, NLA not required", None),
    5900: ("vnc", "RFB 3.8", True),
    5901: ("vnc", "RFB 3.8", False),
    5902: ("vnc", "RFB 3.3", True),
    2181: ("zookeeper", "3.8.0", True),
    445: ("smb", "SMB 3.0.2, signing not required, SMB 1", None),
    25: ("smtp", "mail.example.net STARTTLS", None),
    143: ("imap", "IMAP4rev1 ready", None),
    993: ("imap", "IMAP4rev1 ready", None),
    110: ("pop3", "POP3 ready", None),
    23: ("telnet", "", None),
    4222: ("nats", "2.9.10", True),
    6000: ("x11", "The X.Org F", True),
    6001: ("x11", "No protocol specified", False),
    111: ("rpcbind", "portmapper mountd", None),
    2049: ("nfs", "3", None),
    389: ("ldap", "Example Directory", True),
    636: ("ldap", "Example Directory", False),
    9042: ("cassandra", "CQL 3.4.6", True),
    5672: ("amqp", "RabbitMQ 3.12.1", False),
    9092: ("kafka", "", True),
    1433: ("mssql", "15.0.2000", None),
    40000: ("elasticsearch", "8.11.1", True),
    8081: ("http", "nginx/1.22.1", None),
    10256: ("http", "nginx/1.22.1", None),
    2376: ("http", "app", None),
    4369: ("epmd", "rabbit", None),
    40143: ("imap", "IMAP4rev1 ready", None),
    2222: ("imap", "IMAP4rev1 ready", None),
}


def serve(first: str, *rest: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if first != "--only":
        context.load_cert_chain(first, rest[0])

    def handler(port: int) -> type[socketserver.BaseRequestHandler]:
        conversation = CONVERSATIONS[SERVERS[port]]

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError):
                    self.talk(context.wrap_socket(self.request, server_side=True) if port in TLS else self.request)

            def talk(self, line) -> None:
                if b"late" in conversation:
                    time.sleep(0.6)
                    line.sendall(conversation[b"late"])
                if b"" in conversation:
                    line.sendall(conversation[b""])
                heard = b""
                while piece := line.recv(4096):
                    heard += piece
                    for needle, answer in conversation.items():
                        if needle and needle in heard:
                            line.sendall(answer)
                            heard = b""
                            if needle in UPGRADES and port in INSIDE:
                                line = context.wrap_socket(line, server_side=True)
                            if answer.startswith(b"HTTP/") or needle in (b"srvr", b"\0\1n"):
                                return
                            break
                    else:
                        # Like most: what it does not understand ends the connection.
                        if len(heard) > 8:
                            return

        return Handler

    socketserver.ThreadingTCPServer.allow_reuse_address = True
    socketserver.ThreadingTCPServer.daemon_threads = True
    for port in SERVERS if first != "--only" else map(int, rest):
        server = socketserver.ThreadingTCPServer(("0.0.0.0", port), handler(port))
        threading.Thread(target=server.serve_forever, daemon=True).start()
    print("listening", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    serve(*sys.argv[1:])
