"""The language that agent and collector share.

``tonnage.v1`` is the wire contract and its committed stubs, ``tonnage.model``
the same words as plain dataclasses, ``tonnage.wire`` the one conversion
between the two. Nothing here imports from the agent or the collector.
"""

__version__ = "0.1.0"

PROTOCOL = 2
"""Version of the contract between agent and collector, and how they tell whether they fit.

It counts up when a peer of the version before would misunderstand. The collector takes
agents from ``OLDEST_PROTOCOL`` to ``PROTOCOL``, and refuses others by name.
"""

OLDEST_PROTOCOL = 2
