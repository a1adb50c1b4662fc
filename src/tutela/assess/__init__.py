"""Judging: facts × checks × agreement -> verdicts, standings, findings. Pure.

`unknown` never counts as kept, and only an established fact excuses.
"""

from tutela.assess.assessment import Assessment, ClauseStanding, Standing, Summary, assess
from tutela.assess.verdict import Observation, Verdict

__all__ = ["Assessment", "ClauseStanding", "Observation", "Standing", "Summary", "Verdict", "assess"]
