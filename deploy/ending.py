"""How servers that belong together end, whatever became of them."""

from __future__ import annotations

from collections.abc import Awaitable, Collection, Sequence

from deploy.programs import Program, ProgramFailed


async def end(programs: Sequence[Program], agents: Collection[Program]) -> None:
    """End all of them, the last first, in order; and by force what does not.

    An agent that fell, or did not end as asked, is started once more, as it alone knows which
    instances it left behind. Raises ``ProgramFailed``, the first there was.
    """
    try:
        failures = [await _ended(program, program in agents) for program in reversed(programs)]
    finally:  # nothing is left to, unless this was cut short
        for program in programs:
            await program.kill()
    if failure := next(filter(None, failures), None):
        raise failure


async def _ended(program: Program, holds_instances: bool) -> ProgramFailed | None:
    fell = program.fell
    failure = await _failure(program.kill() if fell else program.stop())
    if holds_instances and (fell or failure):
        again = await _failure(_once_more(program))
        return failure or again
    return failure


async def _once_more(agent: Program) -> None:
    await agent.start()
    await agent.stop()


async def _failure(work: Awaitable[None]) -> ProgramFailed | None:
    try:
        await work
    except ProgramFailed as error:
        return error
    return None
