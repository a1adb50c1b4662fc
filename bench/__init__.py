"""Benchmarks: Tutela beside its peers, same host, same run, medians and ratios. Never part of the tests: machines are noisy."""
