"""Observing what already runs on a host."""
