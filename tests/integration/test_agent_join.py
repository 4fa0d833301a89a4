"""Joining: a real agent's command against a real collector, and every way to fail."""

from __future__ import annotations

import asyncio
import os
import pty
import stat
import sys
from pathlib import Path

import pytest

from collector.pki.folder import PkiFolder
from tests.integration.enrolling import Fleet, fleet, join, serving
from tonnage.identity import Role
from tonnage.tls import certificate_identity
from tonnage.v1 import agent_pb2


async def refused(code: int, folder: Path, *flags: str) -> str:
    """What a join that fails says: one line, nothing on stdout, no identity in use."""
    got, out, err = await join(folder, *flags)
    assert (got, out) == (code, ""), err
    (line,) = err.splitlines()
    assert line.startswith("tonnage-agent: ")
    assert not (folder / "identity/agent.pem").exists()
    return line


async def test_a_host_joins_and_is_commanded_over_mutual_tls(tmp_path: Path) -> None:
    async with fleet(tmp_path) as one:
        data = tmp_path / "data"
        await one.join(data, "h1")
        folder = data / "identity"
        who = certificate_identity((folder / "agent.pem").read_bytes())
        assert (who.role, who.name) == (Role.AGENT, "h1")
        assert stat.S_IMODE((folder / "agent.key").stat().st_mode) == 0o600
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert (folder / "collector").read_text() == f"{one.process.address}\n"
        assert not list(folder.glob("*.next"))
        async with serving(data, "h1", one.collector_files) as agent:
            stub = await agent.stub()
            answer = await stub.Describe(agent_pb2.DescribeRequest())
            assert answer.facts.host == "h1"
            host = await one.host("h1")
            assert host.address == agent.address
            assert host.metrics_tls


async def test_a_terminal_is_asked_for_the_token_and_does_not_show_it(tmp_path: Path) -> None:
    async with fleet(tmp_path) as one:
        where = ("--data-dir", str(tmp_path / "h1"), "--collector", one.http)
        terminal, its_end = pty.openpty()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "agent.app", "join", *where, "--name", "h1", "--token", "-"),
            stdin=its_end,
            stdout=its_end,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # or it would ask whoever runs the tests
        )
        assert process.stderr is not None
        assert await process.stderr.readuntil(b": ") == b"Token: "
        token = await one.token()
        os.write(terminal, f"{token}\n".encode())
        await process.communicate()
        said = os.read(terminal, 10_000).decode()
        for each in (terminal, its_end):
            os.close(each)
        assert process.returncode == 0
        assert "h1 joined" in said
        assert token not in said


async def test_a_token_is_of_use_as_often_as_it_says_and_for_whom(tmp_path: Path) -> None:
    async with fleet(tmp_path) as one:
        await _used_up(one, tmp_path)
        await _for_another(one, tmp_path)
        await _unknown(one, tmp_path)
        await _name_of_a_live_host(one, tmp_path)


async def _used_up(one: Fleet, tmp_path: Path) -> None:
    token = await one.token()
    flags = ("--collector", one.http, "--token", token)
    assert (await join(tmp_path / "a", *flags, "--name", "a"))[0] == 0
    said = await refused(2, tmp_path / "b", *flags, "--name", "b")
    assert "token" in said
    assert token.split(".")[2] not in said, "the secret is not shown"


async def _for_another(one: Fleet, tmp_path: Path) -> None:
    token = await one.token(host="c")
    flags = ("--collector", one.http, "--token", token)
    assert "token" in await refused(2, tmp_path / "d", *flags, "--name", "d")
    assert (await join(tmp_path / "c", *flags, "--name", "c"))[0] == 0


async def _unknown(one: Fleet, tmp_path: Path) -> None:
    words = (await one.token()).split(".")
    words[2] = "0" * len(words[2])
    flags = ("--collector", one.http, "--name", "e", "--token", ".".join(words))
    assert "token" in await refused(2, tmp_path / "e", *flags)


async def _name_of_a_live_host(one: Fleet, tmp_path: Path) -> None:
    async with serving(tmp_path / "a", "a", one.collector_files):
        await one.host("a")
        flags = ("--collector", one.http, "--name", "a", "--token", await one.token())
        said = await refused(2, tmp_path / "twin", *flags)
    assert "'a'" in said


async def test_a_collector_that_is_not_the_tokens_is_told_and_never_sees_it(
    tmp_path: Path,
) -> None:
    async with fleet(tmp_path / "one") as one:
        PkiFolder(tmp_path / "other").create("other", "eve")
        mine = PkiFolder(one.pki).authority().fingerprint
        theirs = PkiFolder(tmp_path / "other").authority().fingerprint
        token = (await one.token()).replace(mine, theirs)
        flags = ("--collector", one.http, "--name", "h1", "--token", token)
        said = await refused(2, tmp_path / "h1", *flags)
        assert "is not the collector that made the token" in said
        assert mine in said
        assert theirs in said
        assert not (tmp_path / "h1").exists(), "nothing was even begun"


async def test_an_identity_is_replaced_by_force_alone(tmp_path: Path) -> None:
    async with fleet(tmp_path) as one:
        data = tmp_path / "data"
        await one.join(data, "h1")
        before = (data / "identity/agent.pem").read_bytes()
        token = await one.token(host="h1")
        flags = ("--collector", one.http, "--name", "h1", "--token", token)
        code, _, err = await join(data, *flags)
        assert code == 2
        assert "holds an identity already" in err
        assert "--force" in err
        assert (data / "identity/agent.pem").read_bytes() == before
        assert (await join(data, *flags, "--force"))[0] == 0
        after = (data / "identity/agent.pem").read_bytes()
        assert certificate_identity(after).serial != certificate_identity(before).serial


TOKEN = f"tonnage1.0011.2233.{'ab' * 32}"


@pytest.mark.parametrize(
    ("at", "says"),
    [("127.0.0.1:1", "Connection refused"), ("x" * 64 + ".invalid:1", "label"), ("[::1]:1", "")],
)
async def test_nobody_at_the_address(tmp_path: Path, at: str, says: str) -> None:
    flags = ("--collector", at, "--name", "h1", "--token", TOKEN)
    said = await refused(1, tmp_path, *flags)
    assert f"'{at}'" in said
    assert says in said


async def test_what_is_not_a_token_or_an_address_is_told_before_anything_is_done(
    tmp_path: Path,
) -> None:
    said = await refused(2, tmp_path, "--collector", "127.0.0.1:1", "--token", "hunter2-secret")
    assert "token: is not a token" in said
    assert "hunter2-secret" not in said
    for at in ("somewhere", "a b:1", "..:1", "x:99999", ":7071"):
        said = await refused(2, tmp_path, "--collector", at, "--token", TOKEN)
        assert "collector: must be HOST:PORT" in said
        assert f"'{at}'" in said


async def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    async with fleet(tmp_path) as one:
        (tmp_path / "file").write_text("")
        flags = ("--collector", one.http, "--name", "h1", "--token", await one.token())
        code, _, err = await join(tmp_path / "file", *flags)
        assert code == 2
        assert "tls_dir: cannot be used" in err
        assert str(tmp_path / "file") in err
        assert (await join(tmp_path / "data", *flags))[0] == 0, "the token is not lost"
