"""Real test hosts on one machine: Debian with systemd in namespaces, for tests of Tutela.

    from tests.lab import Lab

README.md beside this file says how to use it and what cannot be tested so.
"""

from tests.lab.errors import CommandError, LabError, NotReadyError, RoleError
from tests.lab.host import Host
from tests.lab.lab import Lab
from tests.lab.network import ADMIN, ADMIN6, CAMPUS, CAMPUS6, CENTRE, LOG_SERVER, Vantage
from tests.lab.role import Role, RoleFile, load_role, role_names

__all__ = [
    "ADMIN",
    "ADMIN6",
    "CAMPUS",
    "CAMPUS6",
    "CENTRE",
    "LOG_SERVER",
    "CommandError",
    "Host",
    "Lab",
    "LabError",
    "NotReadyError",
    "Role",
    "RoleError",
    "RoleFile",
    "Vantage",
    "load_role",
    "role_names",
]
