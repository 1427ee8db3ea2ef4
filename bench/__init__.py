"""Benchmarks: how fast the shipped users are, as a ratio against peers measured in the same run."""
