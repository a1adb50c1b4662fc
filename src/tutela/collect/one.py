"""Look at one target, whatever it is."""

from __future__ import annotations

from tutela.collect.archive import read_bundle
from tutela.collect.run import Clock, Look, Reader, Running, collect_local
from tutela.collect.ssh import collect_ssh
from tutela.collect.target import BundleTarget, SshTarget, Target
from tutela.evidence import Bundle
from tutela.evidence.bundle import read_frames


def collect(
    target: Target, look: Look, clock: Clock, *, ssh_options: tuple[str, ...] = (), running: Running | None = None, read: Reader = read_frames
) -> Bundle:
    """Look at one target.

    Raises CollectError or BundleError.
    """
    if isinstance(target, BundleTarget):
        return read_bundle(target.path)
    if isinstance(target, SshTarget):
        bundle = collect_ssh(target, look, clock, options=ssh_options, running=running, read=read)
    else:
        bundle = collect_local(look, clock, running)
    if look.passwords is None:
        return bundle
    from tutela.collect.passwords import with_passwords  # noqa: PLC0415 - asked for rarely

    return with_passwords(bundle, target, look, options=ssh_options, running=running)
