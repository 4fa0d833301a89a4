"""The compose file and Grafana's provisioning fit each other and the programs they start.

No image can be pulled where these tests run: what is checked is everything but the containers.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from collector.config import load
from deploy.postgres import PrivatePostgres

ROOT = Path(__file__).parents[3]
COMPOSE = ROOT / "deploy" / "compose"
SECRETS = COMPOSE / "secrets"
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((COMPOSE / "compose.yaml").read_text())[
    "services"
]
FILE = yaml.safe_load((COMPOSE / "compose.yaml").read_text())
(DATASOURCES,) = (ROOT / "grafana" / "provisioning" / "datasources").glob("*.yaml")
(PROVIDERS,) = (ROOT / "grafana" / "provisioning" / "dashboards").glob("*.yaml")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``prepare.sh`` makes."""
    folder = tmp_path_factory.mktemp("compose") / "secrets"
    prepare(folder)
    return folder


def prepare(folder: Path) -> None:
    tonnage = shutil.which("tonnage", path=str(ROOT / ".venv" / "bin"))
    environment = {**os.environ, **({"TONNAGE": tonnage} if tonnage else {})}
    subprocess.run([COMPOSE / "prepare.sh", folder], check=True, env=environment)


def mounts(name: str) -> Iterator[tuple[str, str]]:
    """Of a service: the file or folder of this checkout, and where it is mounted."""
    for volume in SERVICES[name]["volumes"]:
        source, target, *_ = volume.split(":")
        if source.startswith("."):
            yield source, target


def test_every_mounted_file_exists_or_is_made(prepared: Path) -> None:
    for name in SERVICES:
        for source, _ in mounts(name):
            path = (COMPOSE / source).resolve()
            if path.is_relative_to(SECRETS):
                path = prepared / path.relative_to(SECRETS)
            elif path == ROOT / "grafana" / "dashboards":
                continue  # the dashboards' own tests see to it
            assert path.exists(), f"{name} mounts {source}"


def test_secrets_are_files_that_are_made_and_used(prepared: Path) -> None:
    used = {name for service in SERVICES.values() for name in service.get("secrets", ())}
    assert used == set(FILE["secrets"])
    for name, secret in FILE["secrets"].items():
        made = prepared / (COMPOSE / secret["file"]).relative_to(SECRETS)
        assert made.read_text(), name


def test_what_is_secret_is_in_no_environment() -> None:
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            assert "PASSWORD" not in name or str(value).startswith("/run/secrets/")


def test_nothing_is_published_beyond_loopback() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_who_is_waited_for_says_when_it_is_healthy() -> None:
    for service in SERVICES.values():
        assert service["healthcheck"]["test"][0] == "CMD"
        for other, condition in service.get("depends_on", {}).items():
            assert condition == {"condition": "service_healthy"}
            assert "healthcheck" in SERVICES[other]


def test_preparing_twice_changes_nothing(tmp_path: Path) -> None:
    prepare(tmp_path / "secrets")
    before = {p: p.read_bytes() for p in (tmp_path / "secrets").rglob("*") if p.is_file()}
    prepare(tmp_path / "secrets")
    after = {p: p.read_bytes() for p in (tmp_path / "secrets").rglob("*") if p.is_file()}
    assert before == after
    assert (tmp_path / "secrets").stat().st_mode & 0o077 == 0


# Collector


def test_the_collector_takes_its_environment(
    prepared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in SERVICES["collector"]["environment"].items():
        monkeypatch.setenv(name, value)
    config = load([])
    assert config.store == "postgresql://tonnage@postgres:5432/tonnage"
    published = {int(port.rpartition(":")[2]) for port in SERVICES["collector"]["ports"]}
    assert published == {7070, config.http_address.port}


def test_the_collector_s_password_is_no_argument(tmp_path: Path) -> None:
    told = tmp_path / "tonnage"
    told.write_text('#!/bin/sh\necho "$PGPASSWORD|$*"\n')
    told.chmod(0o755)
    (tmp_path / "password").write_text("secret")
    environment = {
        **os.environ,
        "TONNAGE": str(told),
        "POSTGRES_PASSWORD_FILE": str(tmp_path / "password"),
    }
    done = subprocess.run(
        [COMPOSE / "serve.sh", "--lease", "5"], env=environment, capture_output=True, text=True
    )
    assert done.stdout == "secret|serve --lease 5\n"


def test_the_image_has_what_the_wheel_is_made_of() -> None:
    lines = (COMPOSE / "collector.Dockerfile").read_text().splitlines()
    copied = {word for line in lines if line.startswith("COPY") for word in line.split()[1:-1]}
    assert {"agent", "collector", "experiments", "protos", "pyproject.toml"} <= copied
    assert all((ROOT / path).exists() for path in copied)


# PostgreSQL


def test_grafana_s_user_reads_what_the_collector_writes_and_changes_nothing(
    postgres: PrivatePostgres, postgres_url: str, prepared: Path
) -> None:
    database = postgres_url.rpartition("/")[2]
    postgres.run("CREATE TABLE made (host text); INSERT INTO made VALUES ('h1')", database)
    reader(postgres, database, prepared / "grafana-reader.password")
    try:
        asked = postgres_url.replace("postgresql://postgres@", "postgresql://reader@")
        read = psql(asked, "SELECT host FROM made")
        written = psql(asked, "INSERT INTO made VALUES ('h2')")
    finally:
        postgres.run("DROP ROLE reader")
    assert read.stdout == "h1\n"
    assert "read-only" in written.stderr or "permission denied" in written.stderr


def reader(server: PrivatePostgres, database: str, password: Path) -> None:
    """Run the script as the image of PostgreSQL runs it."""
    environment = {
        **os.environ,
        "POSTGRES_USER": "postgres",
        "POSTGRES_DB": database,
        "READER_PASSWORD_FILE": str(password),
        "PGHOST": "127.0.0.1",
        "PGPORT": str(server.port),
    }
    subprocess.run([COMPOSE / "reader.sh"], check=True, env=environment)


def psql(url: str, statement: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["psql", "-XAtq", "-c", statement, url], capture_output=True, text=True)


# Prometheus


def test_prometheus_takes_its_flags_and_the_mounted_configuration(
    tmp_path: Path, prepared: Path, promtool: str, prometheus: str
) -> None:
    for source, target in mounts("prometheus"):
        made = tmp_path / Path(target).relative_to("/etc/prometheus")
        origin = (COMPOSE / source).resolve()
        origin = prepared / origin.name if origin.is_relative_to(SECRETS) else origin
        made.symlink_to(origin)
    configuration = tmp_path / "prometheus.yml"
    done = subprocess.run([promtool, "check", "config", configuration], capture_output=True)
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
    known = subprocess.run([prometheus, "--help"], capture_output=True, text=True)
    for flag in SERVICES["prometheus"]["command"]:
        assert flag.partition("=")[0] in known.stdout + known.stderr


def test_prometheus_finds_the_collector_by_the_name_it_was_shipped_with() -> None:
    shipped = (ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text()
    (alias,) = SERVICES["collector"]["networks"]["default"]["aliases"]
    assert set(re.findall(r"[\w.]*\.example:\d+", shipped)) - {"alertmanager.example:9093"} == {
        f"{alias}:7071"
    }


# Grafana


def test_every_variable_of_the_provisioning_is_set() -> None:
    text = DATASOURCES.read_text() + PROVIDERS.read_text()
    asked = {name for name in re.findall(r"\$(\w+)", text) if name.isupper()}
    assert asked
    assert asked <= SERVICES["grafana"]["environment"].keys()
    for name in re.findall(r"\$__file\{/run/secrets/([^}]+)\}", text):
        assert name in SERVICES["grafana"]["secrets"]


def test_data_sources_lead_to_the_other_services() -> None:
    given = SERVICES["grafana"]["environment"]
    assert given["TONNAGE_PROMETHEUS_URL"] == "http://prometheus:9090"
    assert given["TONNAGE_POSTGRES_ADDRESS"] == "postgres:5432"
    assert given["TONNAGE_POSTGRES_DATABASE"] == SERVICES["postgres"]["environment"]["POSTGRES_DB"]
    kinds = {each["type"] for each in yaml.safe_load(DATASOURCES.read_text())["datasources"]}
    assert kinds == {"prometheus", "grafana-postgresql-datasource"}


def test_scrapes_are_as_often_as_grafana_is_told() -> None:
    shipped = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())
    sources = yaml.safe_load(DATASOURCES.read_text())["datasources"]
    told = next(each for each in sources if each["type"] == "prometheus")["jsonData"]
    assert told["timeInterval"] == shipped["global"]["scrape_interval"]


def test_dashboards_are_mounted_where_they_are_looked_for() -> None:
    (provider,) = yaml.safe_load(PROVIDERS.read_text())["providers"]
    assert provider["options"]["path"] == "$TONNAGE_DASHBOARDS"
    where = SERVICES["grafana"]["environment"]["TONNAGE_DASHBOARDS"]
    mounted = {target: source for source, target in mounts("grafana")}
    assert (COMPOSE / mounted[where]).resolve() == ROOT / "grafana" / "dashboards"
    assert (COMPOSE / mounted["/etc/grafana/provisioning"]).resolve() == DATASOURCES.parents[1]
