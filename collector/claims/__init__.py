"""What the lesson says of containers and VMs, as tests of what runs measured.

Pure: rules that were fixed beforehand, on results and their trials. A claim whose
evidence is in none of the runs is inconclusive, with the reason.
"""

from collector.claims.catalog import judge
from collector.claims.model import Claims
from collector.claims.seen import Seen

__all__ = ["Claims", "Seen", "judge"]
