"""Collectors that share a PostgreSQL store refuse what either of them revokes."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest

from collector.pki.folder import PkiFolder
from tests.integration.collector_process import collector_process
from tests.integration.enrolling import COLLECTOR, fleet
from tonnage.dial import Dial
from tonnage.identity import Identity, Role
from tonnage.tls import TlsFiles
from tonnage.v1 import collector_pb2 as pb
from tonnage.v1 import collector_pb2_grpc

SOON_SECONDS = 15


async def test_whom_one_revokes_the_other_refuses_soon(tmp_path: Path, postgres_url: str) -> None:
    second = tmp_path / "second"
    second.mkdir()
    async with fleet(tmp_path, "--store", postgres_url) as one:
        flags = ("--store", postgres_url, "--tls-dir", str(one.pki))
        async with collector_process(second, *flags) as other:
            dial = Dial(other.address, COLLECTOR, issued(one.pki, "eve", tmp_path))
            stub: Any = collector_pb2_grpc.CollectorServiceStub(await dial.channel())
            try:
                await stub.ListHosts(pb.ListHostsRequest())
                revoked = await one.operator.RevokeCertificate(
                    pb.RevokeCertificateRequest(person="eve")
                )
                assert len(revoked.serials) == 1
                async with asyncio.timeout(SOON_SECONDS):
                    with pytest.raises(grpc.aio.AioRpcError, match="was revoked"):
                        await asked_without_end(stub)
            finally:
                await dial.close()


async def asked_without_end(stub: Any) -> None:
    """Ask for the hosts until that is refused."""
    while True:
        await stub.ListHosts(pb.ListHostsRequest())


def issued(pki: Path, name: str, out: Path) -> TlsFiles:
    """An operator's files."""
    made = PkiFolder(pki).issue(Identity(Role.OPERATOR, name), out, timedelta(days=1))
    return TlsFiles(made[1], made[0], pki / "ca.pem")
