"""From what is stored of a run to its result: pure, and the same at any time.

A run that is still going, or that lost hosts, gives a result of what is there.
"""

from collector.results.document import assemble

__all__ = ["assemble"]
