"""Who can log in over SSH: one server, one account, one place at a time.

`users` accounts as sshd sees them · `settings` ways to log in that settings open · `second_factor` what else is asked · `grid` what holds for whom from where
`origins` the addresses from which an account gets in · `ports` where servers are reached · `servers` what they offer · `dropbear` the other server · `model` the fact.
Used by the fact `ssh`; nothing here is a fact of its own.
"""
