"""Tests of the collector's own parts."""
