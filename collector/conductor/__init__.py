"""Drives runs over their hosts, and takes unfinished ones up again after a restart.

==========  =========================================================
conductor   the runs that have not ended
liverun     one of them, over all of its hosts
drive       one run on one host, from the plan to the last event
pull        events into the store, acknowledged after commit
patience    when to try again, and when to stop trying
progress    how far a run has come, told to any number of watchers
==========  =========================================================
"""
