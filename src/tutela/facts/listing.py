"""Names of collected files by pattern, for every configuration that includes others.

The probe lists a directory as the source `<directory>/` and reads the files in it as sources of their own.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

from tutela.evidence import Reason, Status, Unobserved
from tutela.facts.look import Look
from tutela.language import Text


def matching(look: Look, pattern: str) -> tuple[str, ...] | Unobserved:
    """Paths that a glob(3) pattern without wildcards in its directory stands for, sorted as glob(3) sorts.

    A pattern without wildcards stands for itself, whether the file exists or not.
    """
    directory, _, name = pattern.rpartition("/")
    if not any(sign in pattern for sign in "*?["):
        return (pattern,)
    if any(sign in directory for sign in "*?["):
        return Unobserved(Reason.FORMAT, pattern, Text("目录部分含通配符", "a wildcard in the directory part"))
    names = entries(look, directory)
    if isinstance(names, Unobserved):
        return names
    hidden = name.startswith(".")
    return tuple(f"{directory}/{one}" for one in names if fnmatchcase(one, name) and (hidden or not one.startswith(".")))


def entries(look: Look, directory: str) -> tuple[str, ...] | Unobserved:
    """Names in a directory, sorted; none when the host established that there is no such directory."""
    if look.source(directory + "/").status is Status.ABSENT:
        return ()
    names = look.lines(directory + "/")
    return names if isinstance(names, Unobserved) else tuple(sorted(name for name in names if name))


def below(look: Look, directory: str, file: str) -> tuple[str, ...] | Unobserved:
    """Paths `<directory>/*/<file>` of what the kernel shows. The probe lists the names in between; one of an older edition brought the files alone."""
    if look.source(directory + "/").status is Status.MISSING:
        return tuple(name for name in look.names(directory + "/") if name.endswith("/" + file))
    names = entries(look, directory)
    return names if isinstance(names, Unobserved) else tuple(f"{directory}/{name}/{file}" for name in names)


def included(look: Look, path: str, reader: str) -> str:
    """Name of the source that holds a file as `reader` saw it.

    A file outside a reader's own directory may be another part's, which the probe reads with the redaction of that part;
    what the reader includes from there is `<path> (<reader>)`.
    """
    name = f"{path} ({reader})"
    return path if look.source(name).status is Status.MISSING else name
