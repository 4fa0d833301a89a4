"""The one name that a scraper verifies every server by."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from collector.pki.authority import make_authority
from tonnage.identity import METRICS_NAME, Identity, Role
from tonnage.lifetime import utc_now


@pytest.mark.parametrize(
    ("role", "carries"),
    [
        (Role.AGENT, True),
        (Role.COLLECTOR, True),
        (Role.OPERATOR, False),
        (Role.VIEWER, False),
    ],
)
def test_servers_alone_carry_it_beside_their_own(role: Role, carries: bool) -> None:
    now = utc_now()
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    who = Identity(role, "web-1")
    issued = make_authority("test", now).issue(who, key, timedelta(days=1), now)
    names = issued.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    found = names.get_values_for_type(x509.DNSName)
    assert found == [who.dns_name, *([METRICS_NAME] if carries else [])]


def test_nobody_can_be_called_by_it() -> None:
    assert not any(METRICS_NAME.endswith(Identity(role, "x").dns_name[1:]) for role in Role)
