"""Connections to one port: at most three at once, all of them over when the time of the port is.

Whatever stands there, no more than MOST_BYTES are read of an answer, and waiting ends.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

from tutela.exposure import tcp_info
from tutela.exposure.identify.starttls import Step
from tutela.exposure.identify.talk import MOST_BYTES, Ask, Finding, Start

MOST_CONNECTIONS = 3
PORT_S, TRIPS, MOST_S = 1.6, 12, 4.0
"""A port has so many seconds, and so many round trips on top; never more than the last."""
GREETING_S, PATIENT_S = 0.3, 1.0
"""How long a greeting is waited for: on any port, and where services greet."""
MOST_PIECES = 100
"""An answer in more pieces is cut: bytes that drip one by one must not keep this program busy at the cost of other ports."""


Way = Callable[[str, int], socket.socket]
"""Leads to a port from somewhere else than here: a socket that says one byte once the connection stands, and just ends where there is none."""


class Door:
    """One open port."""

    def __init__(self, address: str, port: int, way: Way | None = None) -> None:
        self.address, self.port, self.way = address, port, way
        self.rtt_s = 0.0
        """Of the first connection, as the kernel measured it: our own clock would count how busy this program is."""
        self.before_tls: tuple[Step, ...] = ()
        """What is said in the clear before a handshake."""
        self.overheard = b""
        """The first that it said in the clear: a late greeting may be the answer to another's question."""
        self._clock = asyncio.get_running_loop().time
        self._began = self._clock()
        self._slots = asyncio.Semaphore(MOST_CONNECTIONS)

    def left_s(self) -> float:
        """Seconds that remain."""
        return self._began + min(PORT_S + TRIPS * self.rtt_s, MOST_S) - self._clock()

    def connection(self, context: ssl.SSLContext | None = None) -> Connection:
        """Use as an async context manager. Raises OSError (of which ssl.SSLError and TimeoutError are) on entering."""
        return Connection(self, self._slots, context)

    async def listen(self, seconds: float = GREETING_S) -> bytes:
        """What it says unasked, within so many seconds and two round trips."""
        try:
            async with self.connection() as line:
                return await line.ask(Ask(b""), seconds + 2 * self.rtt_s)
        except OSError:
            return b""

    async def hold(self, start: Start, context: ssl.SSLContext | None = None, quiet_s: float | None = None) -> Finding | None:
        """A talk to its end. `quiet_s`: silence ends it sooner than the time of the port."""
        talk = start(self.address, self.port)
        line: Connection | None = None
        try:
            ask = next(talk)
            while True:
                answer = b""
                try:
                    if ask.fresh and line is not None:
                        await line.close()
                        line = None
                    if line is None:
                        line = await self.connection(context).__aenter__()
                    answer = await line.ask(ask, None if quiet_s is None else quiet_s + 2 * self.rtt_s)
                    if context is None:
                        self.overheard = self.overheard or answer
                except OSError:
                    # An answer that did not come, as after a time-out: the talk knows what to make of it.
                    pass
                ask = talk.send(answer)
        except StopIteration as end:
            found: Finding | None = end.value
            return found
        finally:
            talk.close()
            if line is not None:
                await line.close()


def _rtt_s(line: socket.socket) -> float:
    try:
        info = tcp_info.read(line.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, tcp_info.MOST_BYTES))
    except OSError:
        return 0.0
    return 0.0 if info is None or info.rtt_s is None else info.rtt_s


class Connection:
    """One TCP connection, with TLS where a context is given."""

    def __init__(self, door: Door, slots: asyncio.Semaphore, context: ssl.SSLContext | None) -> None:
        self._door, self._slots, self._context = door, slots, context
        self._held = False
        self._writer: asyncio.StreamWriter | None = None

    async def __aenter__(self) -> Self:
        door = self._door
        await self._slots.acquire()
        self._held = True
        try:
            async with asyncio.timeout(door.left_s()):
                coming = asyncio.open_connection(door.address, door.port, limit=MOST_BYTES) if door.way is None else self._by(door.way)
                self._reader, self._writer = await coming
                door.rtt_s = door.rtt_s or _rtt_s(self._writer.get_extra_info("socket"))
            if self._context is not None:
                await self.begin_tls()
                async with asyncio.timeout(door.left_s()):
                    await self._writer.start_tls(self._context)
        except BaseException:
            await self.close()
            raise
        return self

    async def _by(self, way: Way) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        loop = asyncio.get_running_loop()
        began = loop.time()
        one = way(self._door.address, self._door.port)
        try:
            one.setblocking(False)
            if not await loop.sock_recv(one, 1):
                raise ConnectionRefusedError
            self._door.rtt_s = self._door.rtt_s or loop.time() - began
            return await asyncio.open_connection(sock=one, limit=MOST_BYTES)
        except BaseException:
            one.close()
            raise

    async def __aexit__(self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    @property
    def tls(self) -> ssl.SSLObject | None:
        """What was agreed on."""
        found: ssl.SSLObject | None = self._writer.get_extra_info("ssl_object") if self._writer else None
        return found

    @property
    def ended(self) -> bool:
        """The other end closed or reset it, and all that it said is read."""
        return self._reader.at_eof() or self._reader.exception() is not None

    async def begin_tls(self) -> None:
        """What the protocol says in the clear before a handshake. Raises ConnectionRefusedError where the answer does not allow one."""
        for step in self._door.before_tls:
            if not step.allowed(await self.ask(step.ask)):
                raise ConnectionRefusedError

    async def ask(self, ask: Ask, quiet_s: float | None = None) -> bytes:
        """What comes back, complete or cut by the end of the connection, of the time, or of the bytes that are read."""
        answer = b""
        assert self._writer is not None
        try:
            if ask.send:
                self._writer.write(ask.send)
            async with asyncio.timeout(self._door.left_s() if quiet_s is None else min(quiet_s, self._door.left_s())) as limit:
                for _ in range(MOST_PIECES):
                    piece = await self._reader.read(MOST_BYTES - len(answer))
                    answer += piece
                    if not piece or len(answer) >= MOST_BYTES or ask.until(answer):
                        break
                    # It speaks: now it has the whole time.
                    limit.reschedule(asyncio.get_running_loop().time() + max(self._door.left_s(), 0))
        except TimeoutError:
            # What came in the very turn of the loop in which time was up came in time: it was this program that was late.
            with suppress(OSError):
                async with asyncio.timeout(0):
                    answer += await self._reader.read(MOST_BYTES - len(answer))
        except OSError:
            pass
        return answer

    async def close(self) -> None:
        """At once, without waiting for the other end."""
        if self._writer is not None:
            self._writer.transport.abort()
            self._writer = None
        if self._held:
            self._held = False
            self._slots.release()
        # The transport lets go of its socket in the next turn.
        await asyncio.sleep(0)
