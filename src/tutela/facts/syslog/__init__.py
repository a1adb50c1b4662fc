"""Which log messages leave the host, and how: rsyslog, syslog-ng and the agents that ship logs.

Used by the fact `log_forwarding`; nothing here is a fact of its own.
"""
