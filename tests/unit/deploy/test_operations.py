"""docs/operations.md is true to the programs: every command, flag and key in it exists."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from collector.cli.app import app

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/operations.md").read_text()
INSTALL = (ROOT / "deploy/install.sh").read_text()


def commands(program: str, page: str = PAGE) -> list[list[str]]:
    """The arguments of every call of ``program``, in blocks and in running text."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    blocks = [block for language, block in fenced if not language]
    inline = re.findall(
        r"`([^`]+)`", re.sub(r"^```.*?^```", "", page, flags=re.MULTILINE | re.DOTALL)
    )
    text = "\n".join([*blocks, *(" ".join(each.split()) for each in inline)]).replace("\\\n", " ")
    found = []
    for line in text.splitlines():
        for part in line.split("&&"):
            words = shlex.split(part.replace("runuser -u tonnage --", ""), comments=True)
            if words[:1] == [program]:
                found.append(words[1:])
    return found


def flags(words: list[str]) -> set[str]:
    return {word.split("=")[0] for word in words if word.startswith("--")}


@pytest.mark.parametrize("words", [w for w in commands("tonnage") if w], ids=" ".join)
def test_the_command_line_takes_it(words: list[str]) -> None:
    takes(words)


def takes(words: list[str]) -> None:
    """Fail unless the command line has this command and its flags."""
    command = typer.main.get_command(app)
    depth = 0
    while (below := getattr(command, "commands", {})) and not words[depth].startswith("-"):
        assert words[depth] in below
        command = below[words[depth]]
        depth += 1
    known = {name for parameter in command.params for name in parameter.opts}
    assert flags(words[depth:]) <= {*known, "--help"}


def test_the_agent_takes_what_the_page_says() -> None:
    joins = [words for words in commands("tonnage-agent") if words]
    assert joins
    known = subprocess.run(
        [sys.executable, "-m", "agent.app", "join", "--help"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for words in joins:
        assert words[0] == "join"
        assert all(flag in known for flag in flags(words))


def test_install_sh_takes_what_the_page_says() -> None:
    calls = re.findall(r"install\.sh ([a-z]+)((?: --[a-z]+| agent| collector)*)", PAGE)
    assert len(calls) > 5
    for command, rest in calls:
        for word in (command, *rest.split()):
            assert re.search(rf"^\t\t[a-z| -]*{word}\b", INSTALL, re.MULTILINE), word


def test_every_page_it_links_to_is_there() -> None:
    for link in re.findall(r"\]\((\.\./[^)]+)\)", PAGE):
        assert (ROOT / "docs" / link).exists(), link
