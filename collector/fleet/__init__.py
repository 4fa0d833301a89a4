"""The hosts: who registered, whose lease still runs, and how each is dialled."""

from collector.fleet.fleet import Fleet
from collector.fleet.keeper import Keeper
from collector.fleet.registration import Registration, check_protocol

__all__ = ["Fleet", "Keeper", "Registration", "check_protocol"]
