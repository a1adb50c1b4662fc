"""Which backup tools the lines of a job run, what they save and where to.

`command` lines, read word by word · `tools` what each tool saves · `destination` on which machine a target lies.
Used by the fact `backups`; nothing here is a fact of its own.
"""
