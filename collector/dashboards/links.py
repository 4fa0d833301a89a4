"""From one dashboard to another, with what was chosen."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import DashboardLink, DashboardLinkType

TAG = "tonnage"
_KEPT = "${prometheus:queryparam}&${__url_time_range}"


def others() -> DashboardLink:
    """Every dashboard of Tonnage, at the top of each; variables and time range stay."""
    return DashboardLink(
        title="Tonnage",
        type_val=DashboardLinkType.DASHBOARDS,
        icon="external link",
        tooltip="The other dashboards, with the same hosts and times",
        tags=[TAG],
        include_vars=True,
        keep_time=True,
    )


class DataLink(DashboardLink):
    """A link of a value: of the schema's many fields it has but two."""

    def to_json(self) -> dict[str, object]:
        """As it is written."""
        return {"title": self.title, "url": self.url}


def _to_host(name: str) -> DataLink:
    """To one host in depth; ``name`` says where its name is: a field, or a series' label."""
    return DataLink(
        title="Host ${" + name + "}",
        url=f"/d/tonnage-host?var-host=${{{name}:percentencode}}&{_KEPT}",
    )


HOST_OF_ROW = _to_host("__data.fields.host")
HOST_OF_SERIES = _to_host("__field.labels.host")
RUN_OF_ROW = DataLink(
    title="This run, over its own time",
    url=(
        "/d/tonnage-run?var-run=${__data.fields.run}&from=${__data.fields.from_ms}"
        "&to=${__data.fields.to_ms}&${prometheus:queryparam}&${postgres:queryparam}"
    ),
)
