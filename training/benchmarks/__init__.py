"""Benchmarks: ratios measured in one run against a named peer; each module is a command."""
