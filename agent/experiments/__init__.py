"""Experiments as pure state machines: no I/O, no clock. ``runner`` is their shell."""
