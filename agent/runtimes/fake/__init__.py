"""A runtime without containers or machines: for tests, dry runs and demonstrations.

It is a real implementation of the seam, driven by the workload alone, so that
an experiment file can ask for every kind of trouble. The image names the
behaviour:

=================  ========================================================
``fake:ok``        becomes ready, answers, goes when told; so does any image
                   whose name does not begin with ``fake:``
``fake:fail``      exits with code 1 instead of becoming ready
``fake:hang``      never becomes ready
``fake:die``       becomes ready, then dies ``FAKE_DIE_MS`` later
``fake:mute``      lives, but answers neither its health check nor a question
``fake:leaky``     tells, when asked, what its neighbours have as if it saw it
``fake:early``     lies: marks ``ready`` before ``created``
``fake:leak``      lies: survives the first ``destroy``
``fake:lost``      likewise, and its engine knows it no more from then on
``fake:gone``      the engine is gone: ``launch`` raises ``RuntimeUnavailable``
``fake:missing``   no such image, as is any other ``fake:`` name
=================  ========================================================

The environment tunes it (milliseconds may be fractions, all default to 0):

====================  =====================================================
``FAKE_ACCEPT_MS``    requested to accepted
``FAKE_CREATE_MS``    accepted to created
``FAKE_READY_MS``     created to ready (or to the exit)
``FAKE_JITTER_MS``    at most this is added to the time to ready
``FAKE_DIE_MS``       ready to death of ``fake:die``
``FAKE_FAIL_RATE``    share of ``ok`` launches that fail, 0 to 1
``FAKE_CAPACITY``     launches fail while so many instances are alive; 0: no limit
``FAKE_NEEDS_MIB``    launches with less memory fail; 0: none does
``FAKE_OWN_KERNEL``   1: it tells of a kernel of its own, as a VM does
``FAKE_SEED``         changes all draws; any text
``FAKE_DURABLE``      1: the instance is also a file below ``state_dir``
====================  =====================================================

Draws depend on the instance's id and the seed alone: the same launches give
the same latencies and failures. Instances live in this process's memory and
die with it, unless durable: then a file is the instance, it outlives a kill of
the agent, and ``recover`` and ``reap`` find it as those of a real engine would.
"""

from __future__ import annotations

from agent.runtimes.fake.runtime import FakeRuntime
from agent.runtimes.registry import RuntimeSettings

__all__ = ["FakeRuntime", "open_fake"]


def open_fake(settings: RuntimeSettings) -> FakeRuntime:
    """Make the runtime."""
    return FakeRuntime(settings)
