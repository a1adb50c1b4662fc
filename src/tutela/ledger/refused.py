"""Why the ledger refuses: one error a reason, all of one family, LedgerError.

MalformedError    bytes that are not what they claim to be: note, checkpoint, tile, entry, receipt, policy, key
UnsignedError     no signature by a key that is trusted, or one that does not verify
OriginError       a checkpoint of another log
InclusionError    an inclusion proof that does not lead to the root
ConsistencyError  two checkpoints of one log that no consistency proof joins: a second history
RollbackError     a checkpoint older than one that was signed or seen before
DamagedError      a tile, an entry or a checkpoint that differs from what was signed
MissingError      a file of the log that is not there
UnwitnessedError  the policy asks for cosignatures that are not there
MisuseError       asked for what does not exist or does not fit: an index beyond the end, a folder that is no ledger
"""

from __future__ import annotations

from tutela.errors import LedgerError

__all__ = [
    "ConsistencyError",
    "DamagedError",
    "InclusionError",
    "LedgerError",
    "MalformedError",
    "MissingError",
    "MisuseError",
    "OriginError",
    "RollbackError",
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


class RollbackError(LedgerError):
    """A checkpoint is older than one that was signed or seen before."""


class DamagedError(LedgerError):
    """A file of the log differs from what was signed."""


class MissingError(LedgerError):
    """A file of the log is not there."""


class UnwitnessedError(LedgerError):
    """The policy's witnesses have not cosigned."""


class MisuseError(LedgerError):
    """Asked for what does not exist, or does not fit together."""
