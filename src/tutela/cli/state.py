"""Where what a user has seen is kept from one run to the next (XDG Base Directory)."""

from __future__ import annotations

import os
from pathlib import Path


def state_folder() -> Path:
    """Tutela's own folder for state; raises RuntimeError where the user has no home folder, and XDG_STATE_HOME is not set."""
    state = os.environ.get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local" / "state") / "tutela"
