"""Carries plans out: the async shell around experiments, runtimes and probes.

============  ========================================================
runs          which run holds the agent, and which it goes on with
run           one plan, from its first event to its last (``ending``)
past          how far a run came in earlier lives; ``work``: what its stages share
preparing     images; ``sweeping``: what is left at the end
stage         one experiment's instructions, executed and answered
starts        the launches of a stage, and whether one may begin
trials        one launch, from before its request to its removal (``attempts``)
weighing      one measurement of a population
manual        launches by hand, outside every run
red_button    stopping everything; ``killing``: past engines and monitors
admission     may this plan run here
holdings      the live instances; ``inventory``: the runtimes
observer      the probes, put together; ``equipment``: what a run works with
============  ========================================================
"""
