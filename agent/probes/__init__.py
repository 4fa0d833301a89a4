"""Readers of host and instances: memory, PSS, cgroups, disk, pressure, CPU."""
