"""One port: what its number suggests first, a moment for a greeting, then HTTP, TLS and the databases side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Iterator
from dataclasses import replace
from typing import Any

from tutela.exposure.identify import greeting, postgresql, tls, web
from tutela.exposure.identify.door import GREETING_S, PATIENT_S, Door, Way
from tutela.exposure.identify.hints import BY_PORT, FALLBACK, GREETERS, GREETS_IN_TLS, TLS_FIRST
from tutela.exposure.identify.starttls import STEPS
from tutela.exposure.identify.talk import Ask, Finding, Start
from tutela.exposure.model import Service, Tls

QUIET_S = 0.35
"""So long a service that is asked in vain is waited for before the next is tried, and two round trips."""
Answer = tuple[Finding, Tls | None]


async def look(address: str, port: int, way: Way | None = None) -> Service:
    """What it is."""
    door = Door(address, port, way)
    tasks: set[asyncio.Task[Answer | None]] = set()

    def begin(coroutines: Iterable[Coroutine[Any, Any, Answer | None]]) -> None:
        tasks.update(asyncio.ensure_future(one) for one in coroutines)

    hint = BY_PORT.get(port)
    try:
        begin((_greeting(door),))
        if port in TLS_FIRST:
            begin((_behind_tls(door),))
        elif hint is not None:
            begin((_plain(door, hint),))
        found = await _best(tasks, PATIENT_S + 2 * door.rtt_s if port in GREETERS else 2 * QUIET_S + 2 * door.rtt_s)
        if found is None or not found[0].sure:
            if hint is not web.talk or port in TLS_FIRST:
                begin((_plain(door, web.talk),))
            if port not in TLS_FIRST:
                begin((_behind_tls(door),))
            others = iter([start for start in FALLBACK if start is not hint])
            begin((_others(door, others), _others(door, others)))
            found = await _best(tasks, None, found)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    if found is None:
        return Service(address, "tcp", port, None)
    finding, secured = found if found[1] is not None else await _within(door, found[0])
    name = finding.name
    if secured is not None:
        name = {"http": "https", None: "tls"}.get(name, name)
        secured = replace(secured, hsts=finding.hsts)
    return Service(address, "tcp", port, name, finding.said, finding.without_authentication, secured)


async def _best(tasks: set[asyncio.Task[Answer | None]], wait_s: float | None, best: Answer | None = None) -> Answer | None:
    """The first sure answer; else, when time is up or all are done, an unsure one. What still runs stays in the set."""
    loop = asyncio.get_running_loop()
    end = None if wait_s is None else loop.time() + wait_s
    while tasks:
        done, _ = await asyncio.wait(tasks, timeout=None if end is None else max(end - loop.time(), 0), return_when=asyncio.FIRST_COMPLETED)
        if not done:
            break
        tasks -= done
        for task in done:
            answer = task.result()
            if answer is None:
                continue
            if answer[0].sure:
                return answer
            best = answer if best is None or best[0].name is None else best
    return best


async def _greeting(door: Door) -> Answer | None:
    found = greeting.read(await door.listen(PATIENT_S if door.port in GREETERS else GREETING_S))
    if callable(found):
        found = await door.hold(found)
    return None if found is None else (found, None)


async def _plain(door: Door, start: Start) -> Answer | None:
    found: Finding | Start | None = await door.hold(start)
    if found is None:
        found = greeting.read(door.overheard)
    if callable(found):
        found = await door.hold(found)
    return None if found is None else (found, None)


async def _others(door: Door, starts: Iterator[Start]) -> Answer | None:
    for start in starts:
        if door.left_s() <= 0:
            break
        found = await door.hold(start, quiet_s=QUIET_S)
        if found is not None:
            return found, None
    return None


async def _behind_tls(door: Door) -> Answer | None:
    agreed = await tls.agree(door)
    if agreed is None:
        return None
    # What speaks inside is asked while the versions are tried.
    found, secured = await asyncio.gather(_inside(door) if agreed.version else _nothing(), tls.inspect(door, agreed))
    return (replace(found, sure=True) if found else Finding(None)), secured


async def _within(door: Door, finding: Finding) -> Answer:
    """TLS that begins in the middle of the protocol, where the service offers it."""
    door.before_tls = STEPS.get(finding.name or "", ())
    agreed = await tls.agree(door) if door.before_tls else None
    if agreed is None:
        return finding, None
    again = finding.name == "postgresql" and not finding.without_authentication
    better, secured = await asyncio.gather(door.hold(postgresql.within_tls, tls.context()) if again else _nothing(), tls.inspect(door, agreed))
    if again and better is None:
        return replace(finding, without_authentication=None), secured
    return (better or finding), secured


async def _nothing() -> None:
    return None


async def _inside(door: Door) -> Finding | None:
    context = tls.context()
    if door.port in GREETS_IN_TLS:
        try:
            async with door.connection(context) as line:
                said = greeting.read(await line.ask(Ask(b"")))
        except OSError:
            said = None
        found = await door.hold(said, context) if callable(said) else said
        if found is not None:
            return found
    for start in dict.fromkeys((BY_PORT.get(door.port, web.talk), web.talk)):
        found = await door.hold(start, context)
        if found is not None:
            return found
    return None
