"""What every SQL store keeps beside runs: hosts, tokens, certificates, the audit log."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import (
    ColumnElement,
    RowMapping,
    and_,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from collector.model import AUDIT_OK, AuditEntry, AuditFilter, Certificate, KnownHost, Token
from collector.stores import schema
from collector.stores.sql.connections import SqlConnections, translated
from collector.stores.sql.rows import from_json, to_json
from tonnage import wire
from tonnage.model import Fingerprint, HostFacts

_EVERYTHING = AuditFilter()
_STAYING = frozenset({"draining", "first_seen_unix_ns"})


class SqlRegistry(SqlConnections):
    """A ``HostStore``, ``IdentityStore`` and ``AuditStore``."""

    async def put_hosts(self, hosts: Sequence[KnownHost]) -> None:
        """See ``HostStore``."""
        table = schema.known_host

        async def work(connection: AsyncConnection) -> None:
            for row in map(_host_row, hosts):
                kept = {name: row[name] for name in row.keys() - _STAYING}
                change = update(table).where(table.c.host == row["host"]).values(kept)
                if not (await connection.execute(change)).rowcount:
                    await connection.execute(insert(table).values(row))

        await self.transact(work)

    async def saw_hosts(self, last_seen_unix_ns: Mapping[str, int]) -> None:
        """See ``HostStore``."""
        table = schema.known_host
        change = update(table).where(table.c.host == bindparam("name"))
        seen = [{"name": name, "seen": at} for name, at in last_seen_unix_ns.items()]
        if not seen:
            return

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(change.values(last_seen_unix_ns=bindparam("seen")), seen)

        await self.transact(work)

    async def set_draining(self, host: str, draining: bool) -> None:
        """See ``HostStore``."""
        table = schema.known_host
        await self.write(update(table).where(table.c.host == host).values(draining=draining))

    async def forget_host(self, host: str) -> None:
        """See ``HostStore``."""
        await self.write(delete(schema.known_host).where(schema.known_host.c.host == host))

    async def known_hosts(self) -> Sequence[KnownHost]:
        """See ``HostStore``."""
        found = await self.rows(select(schema.known_host).order_by(schema.known_host.c.host))
        with translated():
            return tuple(_host(row) for row in found)

    async def add_token(self, token: Token) -> None:
        """See ``IdentityStore``."""
        await self.write(insert(schema.token).values(asdict(token)))

    async def use_token(self, secret_sha256: str, host: str, now_unix_ns: int) -> Token | None:
        """See ``IdentityStore``."""
        table = schema.token
        # Looked at and taken in one statement: no other use comes in between.
        usable = and_(
            table.c.secret_sha256 == secret_sha256,
            table.c.revoked.is_not(True),
            table.c.expires_at_unix_ns > now_unix_ns,
            table.c.uses_left > 0,
            or_(table.c.host == "", table.c.host == host),
        )
        take = update(table).where(usable).values(uses_left=table.c.uses_left - 1)

        async def work(connection: AsyncConnection) -> Token | None:
            taken = await connection.execute(take.returning(*table.c))
            row = taken.mappings().first()
            return None if row is None else _token(row)

        return await self.transact(work)

    async def revoke_token(self, token_id: str) -> bool:
        """See ``IdentityStore``."""
        table = schema.token
        change = update(table).where(table.c.token_id == token_id).values(revoked=True)

        async def work(connection: AsyncConnection) -> bool:
            return (await connection.execute(change)).rowcount > 0

        return await self.transact(work)

    async def tokens(self) -> Sequence[Token]:
        """See ``IdentityStore``."""
        table = schema.token
        newest = table.c.created_at_unix_ns.desc(), table.c.token_id
        return tuple(_token(row) for row in await self.rows(select(table).order_by(*newest)))

    async def add_certificate(self, certificate: Certificate) -> None:
        """See ``IdentityStore``."""
        table = schema.certificate
        known = select(table.c.serial).where(table.c.serial == certificate.serial)

        async def work(connection: AsyncConnection) -> None:
            if (await connection.execute(known)).first() is None:
                await connection.execute(insert(table).values(asdict(certificate)))

        await self.transact(work)

    async def revoke_certificates(
        self, now_unix_ns: int, *, serial: str = "", role: str = "", name: str = ""
    ) -> Sequence[str]:
        """See ``IdentityStore``."""
        table = schema.certificate
        if serial:
            meant = table.c.serial == serial
        else:
            meant = and_(table.c.role == role, table.c.name == name)
        change = update(table).where(meant, table.c.revoked_at_unix_ns.is_(None))

        async def work(connection: AsyncConnection) -> Sequence[str]:
            revoked = await connection.execute(
                change.values(revoked_at_unix_ns=now_unix_ns).returning(table.c.serial)
            )
            return tuple(sorted(revoked.scalars()))

        return await self.transact(work)

    async def certificates(self) -> Sequence[Certificate]:
        """See ``IdentityStore``."""
        table = schema.certificate
        newest = table.c.not_before_unix_ns.desc(), table.c.serial
        found = await self.rows(select(table).order_by(*newest))
        return tuple(Certificate(**row) for row in found)

    async def revoked_serials(self, now_unix_ns: int) -> Sequence[str]:
        """See ``IdentityStore``."""
        columns = schema.certificate.c
        meant = columns.revoked_at_unix_ns.is_not(None), columns.not_after_unix_ns > now_unix_ns
        found = await self.rows(select(columns.serial).where(*meant).order_by(columns.serial))
        return tuple(row["serial"] for row in found)

    async def add_audit(self, entries: Sequence[AuditEntry]) -> None:
        """See ``AuditStore``."""
        if not entries:
            return

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(insert(schema.audit), [asdict(e) for e in entries])

        await self.transact(work)

    async def audit(self, limit: int, only: AuditFilter = _EVERYTHING) -> Sequence[AuditEntry]:
        """See ``AuditStore``."""
        table = schema.audit
        told = [column for column in table.columns if column.name != "id"]
        asked = select(*told).where(*_meant(only)).order_by(table.c.id.desc()).limit(limit)
        found = await self.rows(asked)
        return tuple(AuditEntry(**row) for row in found)


def _meant(only: AuditFilter) -> Sequence[ColumnElement[bool]]:
    columns = schema.audit.c
    by_text = (
        (only.name, columns.name == only.name),
        (only.command, func.lower(columns.command) == only.command.lower()),
        (only.subject, columns.subject == only.subject),
        (only.failed, columns.outcome != AUDIT_OK),
    )
    return [condition for given, condition in by_text if given]


def _host_row(host: KnownHost) -> dict[str, Any]:
    runtimes = [json.loads(to_json(wire.to_message(runtime))) for runtime in host.runtimes]
    return {
        "host": host.facts.host,
        "facts_json": to_json(wire.to_message(host.facts)),
        "runtimes_json": json.dumps(runtimes),
        "address": host.address,
        "metrics_address": host.metrics_address,
        "metrics_tls": host.metrics_tls,
        "protocol": host.protocol,
        "first_seen_unix_ns": host.first_seen_unix_ns,
        "last_seen_unix_ns": host.last_seen_unix_ns,
        "draining": host.draining,
    }


def _host(row: RowMapping) -> KnownHost:
    runtimes = json.loads(row["runtimes_json"])
    return KnownHost(
        facts=from_json(row["facts_json"], HostFacts),
        runtimes=tuple(from_json(json.dumps(runtime), Fingerprint) for runtime in runtimes),
        address=row["address"],
        metrics_address=row["metrics_address"],
        metrics_tls=bool(row["metrics_tls"]),
        protocol=row["protocol"],
        first_seen_unix_ns=row["first_seen_unix_ns"],
        last_seen_unix_ns=row["last_seen_unix_ns"],
        draining=bool(row["draining"]),
    )


def _token(row: RowMapping) -> Token:
    return Token(**{**row, "revoked": bool(row["revoked"])})
