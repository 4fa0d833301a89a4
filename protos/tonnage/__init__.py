"""The language that agent and collector share.

``tonnage.v1`` is the wire contract and its committed stubs, ``tonnage.model``
the same words as plain dataclasses, ``tonnage.wire`` the one conversion
between the two. Nothing here imports from the agent or the collector.
"""

__version__ = "0.1.0"
