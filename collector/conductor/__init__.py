"""Drives runs over their hosts, and takes unfinished ones up again after a restart.

==========  =========================================================
conductor   the runs that have not ended
queue       whose turn it is on which host; turns: how they wait for it
liverun     one run, over all of its hosts
drive       one run on one host, from the plan to the last event
barrier     hosts that begin together
pull        events into the store, acknowledged after commit
dialling    from a host to its agent
patience    when to try again, and when to stop trying
progress    how far a run has come, told to any number of watchers
ownerless   runs that nobody drives
returning   runs that an agent still holds when it registers
resuming    whether a run can be resumed
==========  =========================================================
"""
