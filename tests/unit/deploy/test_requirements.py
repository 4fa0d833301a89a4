"""Which of the pinned packages a server gets."""

from __future__ import annotations

import re

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from deploy import requirements, wheelhouse

PROJECT = requirements.project_table(wheelhouse.ROOT)
PYTHONS = ("3.11", "3.12", "3.13")


def declared(extra: str) -> set[str]:
    extras = PROJECT["optional-dependencies"]
    assert isinstance(extras, dict)
    return {canonicalize_name(Requirement(text).name) for text in extras[extra]}


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("role", requirements.ROLES)
def test_all_that_a_role_needs_is_pinned(role: str, python: str) -> None:
    needed = set(requirements.needed(PROJECT, role, python))
    assert all(declared(extra) <= needed for extra in requirements.EXTRAS[role])
    assert needed <= requirements.pins(requirements.LOCK.read_text()).keys()


@pytest.mark.parametrize("role", requirements.ROLES)
def test_no_server_gets_what_only_developers_use(role: str) -> None:
    needed = set(requirements.needed(PROJECT, role, "3.11"))
    assert not needed & declared("dev")


def test_a_collector_can_turn_to_postgresql_without_internet() -> None:
    assert "asyncpg" in requirements.needed(PROJECT, "collector", "3.11")


def test_an_agent_host_gets_little() -> None:
    agent = set(requirements.needed(PROJECT, "agent", "3.11"))
    assert not agent & {"numpy", "scipy", "sqlalchemy", "asyncpg", "typer", "rich", "uvicorn"}


def test_a_pin_keeps_all_of_its_hashes() -> None:
    text = requirements.LOCK.read_text()
    pins = requirements.pins(text)
    assert "".join(pins.values()) == text
    assert all(re.search(r"--hash=sha256:[0-9a-f]{64}", pin) for pin in pins.values())
