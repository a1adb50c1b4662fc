"""Connections from where this runs, for whoever started it; needs only the standard library of Python 3.6 or newer.

It comes in by standard input, writes nothing to disk, and ends when standard input does. What goes over the connections is no concern of its own.

Frames, both ways: number of the connection (4 bytes), kind (1), length (2), and that many bytes:
    o "<address> <port>"    connect to it; without words: the connection stands, of number 0: this program runs
    d <bytes>               these go over it
    c                       it is over: refused, ended, or not wanted any more
"""

import errno
import os
import select
import socket
import struct

HEAD = struct.Struct(">IcH")
MOST_CONNECTIONS = 512
MOST_BYTES = 256 * 1024
"""That one connection may bring; no answer that tells what a service is has more."""
MOST_UNSAID = 1 << 20
"""Bytes that wait to be taken: as long as there are more, nothing is read."""
RESET = struct.pack("ii", 1, 0)
STOOD = (0, errno.ECONNRESET, errno.EPIPE)
"""The handshake was finished; who came late finds that the other side has ended it already."""


class Line:
    """One connection."""

    def __init__(self, number: int, one: socket.socket) -> None:
        self.number, self.socket = number, one
        self.unsent = b""
        self.stands = False
        self.brought = 0


class Relay:
    """All of them."""

    def __init__(self) -> None:
        self.heard = b""
        self.unsaid = bytearray()
        self.lines: "dict[int, Line]" = {}

    def run(self) -> None:
        """Until standard input ends, or nobody takes what is said."""
        os.set_blocking(1, False)
        self.say(0, b"o")
        while True:
            poll = select.poll()
            poll.register(0, select.POLLIN)
            if self.unsaid:
                poll.register(1, select.POLLOUT)
            by_descriptor = {line.socket.fileno(): line for line in self.lines.values()}
            for descriptor, line in by_descriptor.items():
                wanted = 0 if line.stands and not line.unsent else select.POLLOUT
                poll.register(descriptor, wanted | (select.POLLIN if line.stands and len(self.unsaid) < MOST_UNSAID else 0))
            for descriptor, event in poll.poll():
                if descriptor == 0:
                    said = os.read(0, 65536)
                    if not said:
                        return
                    self.take(said)
                elif descriptor == 1:
                    self.flush()
                elif self.lines.get(by_descriptor[descriptor].number) is by_descriptor[descriptor]:
                    self.happened(by_descriptor[descriptor], event)

    def say(self, number: int, kind: bytes, words: bytes = b"") -> None:
        """One frame."""
        self.unsaid += HEAD.pack(number, kind, len(words)) + words

    def flush(self) -> None:
        """As much as is taken."""
        try:
            del self.unsaid[: os.write(1, self.unsaid[:65536])]
        except BlockingIOError:
            pass

    def take(self, said: bytes) -> None:
        """Orders."""
        self.heard += said
        while len(self.heard) >= HEAD.size:
            number, kind, length = HEAD.unpack_from(self.heard)
            end = HEAD.size + length
            if len(self.heard) < end:
                return
            words, self.heard = self.heard[HEAD.size : end], self.heard[end:]
            if kind == b"o":
                self.open(number, words.decode("ascii"))
            elif number in self.lines and kind == b"d":
                self.lines[number].unsent += words
            elif number in self.lines:
                self.close(number, tell=False)

    def open(self, number: int, words: str) -> None:
        """Begin a connection."""
        address, port = words.split(" ")
        try:
            if len(self.lines) >= MOST_CONNECTIONS:
                raise OSError
            one = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        except OSError:
            self.say(number, b"c")
            return
        one.setblocking(False)
        self.lines[number] = Line(number, one)
        if one.connect_ex((address, int(port))) not in (0, errno.EINPROGRESS):
            self.close(number)

    def happened(self, line: Line, event: int) -> None:
        """The connection stands, brings something, takes something, or is over."""
        try:
            if not line.stands:
                if line.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) not in STOOD:
                    raise OSError
                line.stands = True
                self.say(line.number, b"o")
            if event & (select.POLLIN | select.POLLERR | select.POLLHUP):
                # What it said before its end comes first.
                said = line.socket.recv(32768)
                line.brought += len(said)
                if not said or line.brought > MOST_BYTES:
                    raise OSError
                self.say(line.number, b"d", said)
        except BlockingIOError:
            pass
        except OSError:
            self.close(line.number)
            return
        if line.unsent:
            try:
                line.unsent = line.unsent[line.socket.send(line.unsent) :]
            except BlockingIOError:
                pass
            except OSError:
                # It listens no more; what it said before is still to be read.
                line.unsent = b""

    def close(self, number: int, *, tell: bool = True) -> None:
        """End a connection; a reset, so that nothing of it stays behind."""
        one = self.lines.pop(number).socket
        try:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        except OSError:
            pass
        one.close()
        if tell:
            self.say(number, b"c")


Relay().run()
