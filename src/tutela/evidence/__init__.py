"""Evidence: exact bytes, how they were obtained, and what "could not see" is.

Nothing here judges, decodes content or touches the world.
"""

from tutela.evidence.bundle import Bundle, Evidence, Status, Vantage, digest_of
from tutela.evidence.observed import Reason, Unobserved, observed

__all__ = ["Bundle", "Evidence", "Reason", "Status", "Unobserved", "Vantage", "digest_of", "observed"]
