"""Tutela (守责): the server-security agreement that runs."""

__version__ = "0.1.0"
