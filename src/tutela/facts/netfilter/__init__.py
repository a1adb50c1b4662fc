"""Packet filter rules, from every front end into one form, and the walk of a symbolic packet through them.

`addresses` sets of addresses · `rules` the form and the walk · `nft_json`, `iptables_save`, `nft_text` what it is read from.
"""
