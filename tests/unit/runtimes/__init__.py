"""Unit tests of the runtimes and of what they share."""
