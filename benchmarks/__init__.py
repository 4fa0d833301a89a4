"""What ``make bench`` runs: Tonnage's own cost, as ratios against a bare baseline.

Each module measures one thing and returns ``Row``s; baseline and candidate
alternate within one run, so that a noisy machine disturbs both alike.
"""
