"""What a check is: data with conditions over facts. Pure; reads text, never a disk."""

from tutela.checks.model import Check, Condition, Expectation, Outcome, Param, Severity, Vantage
from tutela.checks.read import read_check

__all__ = ["Check", "Condition", "Expectation", "Outcome", "Param", "Severity", "Vantage", "read_check"]
