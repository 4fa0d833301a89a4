"""The hosts: who registered, whose lease still runs, and how each is dialled."""

from collector.fleet.fleet import Fleet
from collector.fleet.keeper import Keeper
from collector.fleet.member import STATES, Lease
from collector.fleet.registration import Registration, check_protocol

__all__ = ["STATES", "Fleet", "Keeper", "Lease", "Registration", "check_protocol"]
