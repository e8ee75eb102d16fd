"""Benchmarks: medians side by side in one run, as ratios. By hand (`make bench`), never as a timed test."""
