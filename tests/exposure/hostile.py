"""Servers that mean harm to whoever looks at them, one a port. `python -m tests.exposure.hostile` listens."""

import contextlib
import itertools
import os
import socket
import socketserver
import struct
import threading
import time

_HELLO = b"\x16\x03\x03" + struct.pack(">H", 74) + b"\2\0\0\x46\x03\x03" + bytes(32) + b"\x20" + bytes(32) + b"\xc0\x2f\0"


def never_answers(line):
    while line.recv(4096):
        pass


def endless_zeros(line):
    while True:
        line.sendall(bytes(65536))


def endless_lines(line):
    for number in itertools.count():
        line.sendall(b"220-welcome %d\r\n" % number * 50)


def endless_header(line):
    line.recv(4096)
    line.sendall(b"HTTP/1.1 200 OK\r\nServer: " + b"a" * 10_000_000 + b"\r\n\r\n")


def endless_body(line):
    line.recv(4096)
    line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n")
    endless_zeros(line)


def garbage(line):
    while True:
        line.sendall(os.urandom(50))
        time.sleep(0.01)


def control_characters(line):
    line.sendall(b"SSH-2.0-\x1b[2J\x1b]0;owned\x07\xe2\x80\xae\x00evil\r\n")


def drips(line):
    for byte in itertools.cycle(b"220-a"):
        line.sendall(bytes((byte,)))
        time.sleep(0.005)


def tiny_elements(line):
    """BER of two bytes each, inside out."""
    line.recv(4096)
    line.sendall(b"\x30\x84\x7f\xff\xff\xff" + b"\x30\x00" * 500_000)


def tls_garbage(line):
    line.recv(4096)
    line.sendall(b"\x16\x03\x03\x40\x00" + os.urandom(16384))


def tls_endless(line):
    line.recv(4096)
    while True:
        line.sendall(b"\x16\x03\x03\x40\x00" + b"\x0b\xff\xff\xff" + bytes(16380))


def tls_stalls(line):
    line.recv(4096)
    line.sendall(_HELLO)
    never_answers(line)


def closes(line):
    pass


def resets(line):
    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def deep_json(line):
    line.recv(4096)
    line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 30000\r\n\r\n" + b'{"Config":' * 3000)


def rsync_modules(line):
    line.sendall(b"@RSYNCD: 31.0\n")
    line.recv(4096)
    while True:
        line.sendall(b"module\n" * 1000)


SERVERS = {
    22: control_characters, 80: endless_header, 81: endless_body, 443: tls_garbage, 8443: tls_endless, 993: tls_stalls, 389: tiny_elements, 636: tls_garbage,
    6379: endless_zeros, 25: endless_lines, 21: drips, 27017: garbage, 5432: never_answers, 3306: garbage, 4000: never_answers, 873: rsync_modules,
    8500: deep_json, 9200: endless_body, 5900: endless_zeros, 11211: closes, 1883: resets, 2181: endless_zeros, 111: endless_zeros,
}  # fmt: skip


def main() -> None:
    def handler(act):
        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError):
                    act(self.request)

        return Handler

    socketserver.ThreadingTCPServer.daemon_threads = True
    for port, act in SERVERS.items():
        threading.Thread(target=socketserver.ThreadingTCPServer(("0.0.0.0", port), handler(act)).serve_forever, daemon=True).start()
    print("listening", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
