"""Run programs to their end and say plainly what went wrong."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Mapping, Sequence

from tests.lab.errors import CommandError

__all__ = ["run"]

_TAIL = 3000
"""Characters of output that an error message quotes."""


def run(
    argv: Sequence[str],
    *,
    stdin: str | bytes | None = None,
    check: bool = True,
    timeout_s: float = 120,
    env: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run `argv` and return what it printed; raise CommandError on a bad end unless `check` is off.

    Output is decoded as UTF-8 with surrogateescape, so that no byte is lost.
    """
    data = stdin.encode() if isinstance(stdin, str) else stdin
    try:
        done = subprocess.run(
            list(argv),
            input=data,
            stdin=subprocess.DEVNULL if data is None else None,
            capture_output=True,
            timeout=timeout_s,
            env=env,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise CommandError(f"{shlex.join(argv)[:300]}: not done after {timeout_s:g} s") from error
    except FileNotFoundError as error:
        raise CommandError(f"{argv[0]}: no such program") from error
    text = subprocess.CompletedProcess(
        done.args,
        done.returncode,
        done.stdout.decode("utf-8", "surrogateescape"),
        done.stderr.decode("utf-8", "surrogateescape"),
    )
    if check and text.returncode != 0:
        said = (text.stdout[-_TAIL:] + text.stderr[-_TAIL:]).strip()
        raise CommandError(f"{shlex.join(argv)[:300]}: status {text.returncode}\n{said}")
    return text
