"""Look at one target, whatever it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tutela.collect.run import Look, Running, collect_local, local_bundle
from tutela.collect.target import BundleTarget, SshTarget, Target

if TYPE_CHECKING:
    from datetime import datetime

    from tutela.collect.answer import Reader
    from tutela.collect.run import Clock
    from tutela.evidence import Bundle


def collect(
    target: Target,
    look: Look,
    clock: Clock,
    *,
    ssh_options: tuple[str, ...] = (),
    running: Running | None = None,
    read: Reader | None = None,
    answer: list[bytes] | None = None,
) -> Bundle:
    """Look at one target; `read` only makes many quicker, and `answer` gets what a host says, as it comes.

    Raises CollectError or BundleError.
    """
    if isinstance(target, BundleTarget):
        from tutela.collect.archive import read_bundle  # noqa: PLC0415 - this host needs nothing of it to be looked at

        return read_bundle(target.path)
    if isinstance(target, SshTarget):
        from tutela.collect.ssh import collect_ssh  # noqa: PLC0415

        bundle = collect_ssh(target, look, clock, options=ssh_options, running=running, read=read, answer=answer)
    else:
        bundle = collect_local(look, clock, running, answer)
    if look.passwords is None:
        return bundle
    from tutela.collect.passwords import with_passwords  # noqa: PLC0415 - asked for rarely

    return with_passwords(bundle, target, look, options=ssh_options, running=running)


def so_far(target: Target, look: Look, answer: list[bytes], at: datetime) -> Bundle:
    """What a host has said up to now, while it is still being looked at.

    Raises BundleError.
    """
    from tutela.evidence.bundle import whole_frames  # noqa: PLC0415

    frames = whole_frames(b"".join(answer))
    if isinstance(target, SshTarget):
        from tutela.collect.ssh import ssh_bundle  # noqa: PLC0415

        return ssh_bundle(target, look, frames, at)
    return local_bundle(frames, at)
