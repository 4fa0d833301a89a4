"""The command line over mutual TLS: certificates made, shown, wanting, and revoked."""

from __future__ import annotations

import getpass
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from collector.pki.folder import PkiFolder
from tests.integration.keyring import DAY, pair
from tests.integration.servers import Started, started, tonnage
from tonnage import __version__
from tonnage.identity import Identity, Role


@dataclass(frozen=True)
class Place:
    """A collector with TLS and its folder, made by the command line."""

    address: str
    pki: Path
    folder: Path

    def ask(self, *arguments: str, by: Path | None = None) -> tuple[int, str, str]:
        """Run a command as the operator, or with the folder ``by``."""
        flags = ["--collector", self.address, "--tls-dir", str(by or self.pki)]
        shown = tonnage(*arguments, *flags)
        return shown.returncode, shown.stdout, shown.stderr


@contextmanager
def served(folder: Path, *flags: str) -> Iterator[Started]:
    arguments = ["--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"]
    arguments += ["--store", str(folder / "store"), *flags]
    with started("collector.app", arguments, folder / "collector.log") as server:
        yield server


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("cli-access")
    pki = folder / "pki"
    made = tonnage("pki", "init", "--dir", str(pki), "--operator", "olga")
    assert made.returncode == 0, made.stderr
    assert made.stdout.splitlines() == [
        str(pki / name)
        for name in (
            *("ca.key", "ca.pem", "collector.key", "collector.pem"),
            *("operator.key", "operator.pem"),
        )
    ]
    assert "tonnage token create" in made.stderr
    with served(folder, "--tls-dir", str(pki)) as server:
        yield Place(server.address, pki, folder)


def issue(place: Place, role: str, name: str) -> Path:
    out = place.folder / name
    flags = ["--role", role, "--name", name, "--out", str(out), "--dir", str(place.pki)]
    made = tonnage("pki", "issue", *flags)
    assert made.returncode == 0, made.stderr
    return out


def test_an_authority_is_made_once(place: Place) -> None:
    again = tonnage("pki", "init", "--dir", str(place.pki))
    assert again.returncode == 2
    assert "nothing was changed" in again.stderr
    assert str(place.pki / "ca.key") in again.stderr


def test_tokens_are_made_listed_and_ended(place: Place) -> None:
    code, made, told = place.ask("token", "create", "--ttl", "2h", "--uses", "3")
    assert code == 0
    found = re.fullmatch(r"tonnage1\.(\w+)\.(\w+)\.\w+\n", made)
    assert found is not None
    assert re.search(r"^  tonnage-agent join --collector \S+:\d+ --token -$", told, re.MULTILINE)
    assert "not shown again" in told
    assert found[2] not in told
    _, listed, _ = place.ask("token", "list")
    assert found[1] in listed
    assert found[2] not in listed
    assert "operator/olga" in listed
    assert place.ask("token", "revoke", found[1])[0] == 0
    tokens = json.loads(place.ask("token", "list", "--output", "json")[1])
    assert [token["revoked"] for token in tokens if token["token_id"] == found[1]] == [True]
    code, _, said = place.ask("token", "revoke", "nonesuch")
    assert (code, "nonesuch" in said, "token list" in said) == (2, True, True)
    code, _, said = place.ask("token", "create", "--ttl", "5")
    assert (code, "--ttl" in said, "unit" in said) == (2, True, True)


def test_a_viewer_reads_and_is_told_what_it_lacks(place: Place) -> None:
    viewer = issue(place, "viewer", "vic")
    assert place.ask("runs", by=viewer)[0] == 0
    code, out, said = place.ask("cancel", "x", by=viewer)
    assert (code, out) == (2, "")
    assert all(word in said for word in ("CancelRun", "viewer", "operator", "pki issue"))
    code, _, said = place.ask("audit", by=viewer)
    assert (code, "operator" in said) == (2, True)


def test_a_certificate_that_is_revoked_is_of_no_use_at_once(place: Place) -> None:
    eve = issue(place, "operator", "eve")
    assert place.ask("runs", by=eve)[0] == 0
    serials = json.loads(place.ask("pki", "show", "--output", "json")[1])
    assert {"olga", "collector"} <= {each["name"] for each in serials}
    serial = tonnage_serial(eve / "eve.pem")
    assert place.ask("pki", "revoke", serial)[:2] == (0, f"{serial}\n")
    code, _, said = place.ask("runs", by=eve)
    assert (code, "was revoked" in said) == (2, True)
    code, out, said = place.ask("pki", "revoke", serial)
    assert (code, out, "nothing to revoke" in said) == (0, "", True)
    assert "revoked" in place.ask("pki", "show")[1]
    audit = json.loads(place.ask("audit", "--output", "json")[1])
    about = [(e["name"], e["command"], e["outcome"]) for e in audit]
    assert ("olga", "RevokeCertificate", "ok") in about
    assert ("eve", "ListRuns", "PERMISSION_DENIED") in about
    assert "RevokeCertificate" in place.ask("audit")[1]
    of_eve = place.ask("audit", "--by", "eve", "--failed", "--command", "listruns")[1].splitlines()
    assert len(of_eve) == 2
    assert all(word in of_eve[1] for word in ("eve", "ListRuns", "PERMISSION_DENIED", "revoked"))
    assert "tonnage token" not in of_eve[1]
    code, out, said = place.ask("audit", "--by", "nobody")
    assert (code, out, said) == (0, "", "the audit log has none such\n")


def test_what_is_issued_by_hand_is_listed_and_noted_with_whoever_did_it(place: Place) -> None:
    issue(place, "viewer", "ivy")
    shown = place.ask("audit", "--command", "IssueCertificate", "--output", "json")
    entry = json.loads(shown[1])[0]
    assert (entry["subject"], entry["role"], entry["outcome"]) == ("viewer/ivy", "local", "ok")
    assert (entry["name"], entry["peer"]) == (getpass.getuser(), os.uname().nodename)
    listed = json.loads(place.ask("pki", "show", "--output", "json")[1])
    assert "ivy" in {each["name"] for each in listed}
    assert listed[-1]["role"] == "authority"
    again = json.loads(place.ask("audit", "--about", "viewer/ivy", "--output", "json")[1])
    assert again == [entry]


def test_a_person_renews_their_own_certificate_and_all_of_theirs_can_be_revoked(
    place: Place,
) -> None:
    vera = issue(place, "viewer", "vera")
    before, key = tonnage_serial(vera / "vera.pem"), (vera / "vera.key").read_bytes()
    code, out, said = place.ask("pki", "renew", by=vera)
    assert (code, out) == (0, f"{vera / 'vera.pem'}\n"), said
    assert "good until" in said
    after = tonnage_serial(vera / "vera.pem")
    assert after != before
    assert (vera / "vera.key").read_bytes() == key
    assert sorted(path.name for path in vera.iterdir()) == ["ca.pem", "vera.key", "vera.pem"]
    assert place.ask("runs", by=vera)[0] == 0
    code, out, _ = place.ask("pki", "revoke", "--person", "vera")
    assert (code, set(out.split())) == (0, {before, after})
    for command in (("runs",), ("pki", "renew")):
        code, _, said = place.ask(*command, by=vera)
        assert (code, "was revoked" in said) == (2, True)
    assert tonnage_serial(vera / "vera.pem") == after


def test_a_certificate_that_ends_soon_is_told_of_to_whom_it_belongs(place: Place) -> None:
    folder = PkiFolder(place.pki)
    who = Identity(Role.VIEWER, "soon")
    pair(place.folder, folder, folder.authority(), who, "soon", age=DAY * 0.9)
    code, _, said = place.ask("runs", by=place.folder / "soon")
    assert code == 0
    assert "ends at" in said
    assert "in 2 hours: renew it with tonnage pki renew" in said
    assert place.ask("pki", "renew", by=place.folder / "soon")[0] == 0
    assert "ends at" not in place.ask("runs", by=place.folder / "soon")[2]


def test_the_version_is_told() -> None:
    shown = tonnage("--version", TONNAGE_VERSION="7")
    assert (shown.returncode, shown.stdout, shown.stderr) == (0, f"tonnage {__version__}\n", "")


def tonnage_serial(path: Path) -> str:
    from cryptography import x509

    return f"{x509.load_pem_x509_certificate(path.read_bytes()).serial_number:x}"


def test_a_collector_that_wants_a_certificate_says_so(place: Place) -> None:
    shown = tonnage("runs", "--collector", place.address)
    assert shown.returncode == 2
    assert all(word in shown.stderr for word in ("wants a certificate", "--tls-dir", "pki issue"))


def test_a_certificate_that_expired_is_named(place: Place) -> None:
    folder = PkiFolder(place.pki)
    who = Identity(Role.OPERATOR, "late")
    pair(place.folder, folder, folder.authority(), who, "late", age=3 * DAY)
    code, _, said = place.ask("runs", by=place.folder / "late")
    assert (code, "expired at" in said, "me.pem" in said) == (2, True, True)


def test_a_stranger_s_authority_is_told_from_a_collector_that_is_down(place: Place) -> None:
    other = place.folder / "other"
    assert tonnage("pki", "init", "--dir", str(other)).returncode == 0
    code, _, said = place.ask("runs", by=other)
    assert (code, "not to be trusted" in said) == (2, True)
    (other / "ca.pem").write_bytes((place.pki / "ca.pem").read_bytes())
    code, _, said = place.ask("runs", by=other)
    assert (code, "does not trust" in said) == (2, True)


@pytest.mark.parametrize(
    ("names", "said"),
    [((), "no ca.pem"), (("ca.pem",), "no NAME.pem"), (("ca.pem", "a", "b"), "a, b")],
)
def test_a_folder_without_the_one_pair_is_told(
    names: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    for name in names:
        for each in (name,) if "." in name else (f"{name}.pem", f"{name}.key"):
            (tmp_path / each).write_text("")
    shown = tonnage("runs", "--tls-dir", str(tmp_path))
    assert (shown.returncode, said in shown.stderr) == (2, True)


def test_a_collector_without_tls_is_told_from_one_with(tmp_path: Path, place: Place) -> None:
    with served(tmp_path) as plain:
        shown = tonnage("runs", "--collector", plain.address, "--tls-dir", str(place.pki))
        assert (shown.returncode, "speaks no TLS" in shown.stderr) == (2, True)
        made = tonnage("token", "create", "--collector", plain.address)
        assert (made.returncode, "pki init" in made.stderr) == (2, True)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--role", "viewer"], "--name"),
        (["--role", "viewer", "--name", "a/b"], "a/b"),
        (["--role", "collector", "--name", "x"], "collector"),
        (["--role", "agent", "--name", "x"], "agent"),
    ],
)
def test_a_certificate_that_makes_no_sense_is_not_issued(
    flags: list[str], said: str, place: Place
) -> None:
    out = place.folder / "never"
    shown = tonnage("pki", "issue", *flags, "--out", str(out), "--dir", str(place.pki))
    assert (shown.returncode, said in shown.stderr, out.exists()) == (2, True, False)
