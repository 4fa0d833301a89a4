"""The embedded store: one file, one collector."""
