"""Measurements that are too slow or too noisy for a test; each prints a table and writes JSON."""
