"""What can go wrong in the lab.

LabError            anything; caught by `python -m tests.lab`, fails a test otherwise
├── CommandError    a program ended badly or too late; carries what it said
├── RoleError       a role file says something the lab does not understand
└── NotReadyError   a host did not come up in time
"""

from __future__ import annotations

__all__ = ["CommandError", "LabError", "NotReadyError", "RoleError"]


class LabError(Exception):
    """The lab cannot do what was asked; the message says what to do next."""


class CommandError(LabError):
    """A program that the lab needed ended with a status other than 0, or took too long."""


class RoleError(LabError):
    """A role file is unreadable or has an unknown key."""


class NotReadyError(LabError):
    """A host was started but did not become ready; the message ends in its console."""
