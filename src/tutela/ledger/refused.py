"""Why the ledger refuses: one error a reason, all of one family, LedgerError.

MalformedError    bytes that are not what they claim to be: note, checkpoint, tile, entry, receipt, policy, key
UnsignedError     no signature by a key that is trusted, or one that does not verify
OriginError       a checkpoint of another log
InclusionError    an inclusion proof that does not lead to the root
ConsistencyError  two checkpoints of one log that no consistency proof joins: a second history
ConflictError     a proof that begins where the witness has not been last
RollbackError     a checkpoint older than one that was signed or seen before
DamagedError      a tile, an entry or a checkpoint that differs from what was signed
MissingError      a file of the log that is not there
UnwitnessedError  the policy asks for cosignatures that are not there
UnreachableError  a server that cannot be reached, or answers with something else
MisuseError       asked for what does not exist or does not fit: an index beyond the end, a folder that is no ledger
"""

from __future__ import annotations

from tutela.errors import LedgerError
from tutela.language import Text

__all__ = [
    "ConflictError",
    "ConsistencyError",
    "DamagedError",
    "InclusionError",
    "LedgerError",
    "MalformedError",
    "MissingError",
    "MisuseError",
    "OriginError",
    "RollbackError",
    "UnreachableError",
    "UnsignedError",
    "UnwitnessedError",
]


class MalformedError(LedgerError):
    """Bytes are not what they claim to be."""


class UnsignedError(LedgerError):
    """No trusted key signed this, or a trusted key's signature does not verify."""


class OriginError(LedgerError):
    """A checkpoint of another log."""


class InclusionError(LedgerError):
    """The inclusion proof does not lead from the entry to the root."""


class ConsistencyError(LedgerError):
    """Two checkpoints of one log show different histories."""


class ConflictError(LedgerError):
    """The proof begins at another size than that of the checkpoint the witness cosigned last, `size`."""

    def __init__(self, old: int, size: int) -> None:
        super().__init__(
            Text(f"证明从 {old} 条起，见证人最近见证的是 {size} 条", f"the proof begins at {old} entries, the witness has cosigned {size} last"),
        )
        self.size = size


class RollbackError(LedgerError):
    """A checkpoint is older than one that was signed or seen before."""


class DamagedError(LedgerError):
    """A file of the log differs from what was signed."""


class MissingError(LedgerError):
    """A file of the log is not there."""


class UnwitnessedError(LedgerError):
    """The policy's witnesses have not cosigned."""


class UnreachableError(LedgerError):
    """A server cannot be reached, or answers with something else than what was asked for."""


class MisuseError(LedgerError):
    """Asked for what does not exist, or does not fit together."""
