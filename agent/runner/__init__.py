"""Carries plans out: the async shell around experiments, runtimes and probes.

============  ========================================================
runs          which run holds the agent
run           one plan, from its first event to its last
stage         one experiment's instructions, executed and answered
trials        one launch, from before its request to its removal
weighing      one measurement of a population
manual        launches by hand, outside every run
admission     may this plan run here
holdings      the live instances; ``inventory``: the runtimes
observer      the probes, put together; ``equipment``: what a run works with
============  ========================================================
"""
