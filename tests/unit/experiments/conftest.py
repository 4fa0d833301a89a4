"""Hypothesis without its own deadline: a busy host is not a defect, and pytest has one."""

from hypothesis import settings

settings.register_profile("tonnage", deadline=None)
settings.load_profile("tonnage")
