"""Facts: one subject a file, from the bytes of a bundle to a typed value or `Unobserved`.

A fact does the hard thinking once (what is reachable, who can log in with a password alone); checks only compare.
A fact runs nothing, opens nothing, knows no clock but `look.now`, and has no default that could pass for a look.
"""
