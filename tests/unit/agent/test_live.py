"""What a scrape reads of a whole agent: its limits, its outbox, its host."""

from __future__ import annotations

import os
from pathlib import Path

from agent.opening import watch
from tests.integration.agents import plan, startup
from tests.unit.agent.house import events_of, open_house


async def test_a_scrape_shows_limits_outbox_and_host(tmp_path: Path) -> None:
    async with open_house(tmp_path, guard_max_instances=17, spool_cap_bytes=3 << 20) as house:
        watch(house.equipment, house.runs)
        read = house.equipment.metrics.registry.get_sample_value
        assert read("tonnage_agent_instances_limit") == 17
        assert read("tonnage_spool_limit_bytes") == 3 << 20
        assert read("tonnage_host_cpus") == len(os.sched_getaffinity(0))
        total = read("tonnage_host_memory_total_bytes") or 0
        assert 0 < (read("tonnage_host_memory_available_bytes") or 0) <= total
        assert (read("tonnage_host_disk_free_bytes") or 0) > 0


async def test_events_count_as_unacknowledged_until_they_are_acknowledged(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        watch(house.equipment, house.runs)
        read = house.equipment.metrics.registry.get_sample_value
        assert read("tonnage_agent_spool_unacknowledged_events") == 0
        house.gate.may.set()
        await house.runs.start(plan(startup(1)))
        await house.runs.idle()
        recorded = len(await events_of(house))
        assert read("tonnage_agent_spool_unacknowledged_events") == recorded > 2
        await house.runs.log("run-1").ack(recorded - 1)
        assert read("tonnage_agent_spool_unacknowledged_events") == 1
