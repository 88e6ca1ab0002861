"""The endpoints of backfills, as in ``calls``. Only API v2 has them (Airflow 3.0 and later)."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from astro_provider.api.call import Call
from astro_provider.api.errors import RequestNotPossible
from astro_provider.api.parsing import collection_reader, mapping

if TYPE_CHECKING:
    from collections.abc import Mapping

    from astro_provider.api.api_versions import RestApi
    from astro_provider.api.types import JSON, Backfill, JSONInput, Page


def _require_v2(api: RestApi) -> None:
    if api.NAME == "v1":
        raise RequestNotPossible("Backfills need Airflow 3 in the target; this one runs Airflow 2 (REST API v1)")


def _read_backfill(raw: JSON) -> Backfill:
    none = type(None)
    read = mapping(
        raw, "a backfill", id=int, dag_id=str, from_date=str, to_date=str, created_at=str, completed_at=(str, none)
    )
    return cast("Backfill", read)


def create_backfill(api: RestApi, dag_id: str, fields: Mapping[str, JSONInput]) -> Call[Backfill]:
    """
    Create a backfill and its dag runs (``POST backfills``).

    The request is not sent again after a lost response, because a backfill has no id that a client could choose.

    :param fields: the other fields of the request; ``None`` means that a field is not set, because Airflow before 3.2
        refuses null
    """
    _require_v2(api)
    return Call(
        method="POST",
        path="backfills",
        read=_read_backfill,
        about=f"a backfill of dag {dag_id!r}",
        body={"dag_id": dag_id, **{name: value for name, value in fields.items() if value is not None}},
        dag_id=dag_id,
    )


def get_backfill(api: RestApi, backfill_id: int) -> Call[Backfill]:
    """Get a backfill (``GET backfills/{backfill_id}``)."""
    _require_v2(api)
    return Call(method="GET", path=f"backfills/{backfill_id}", read=_read_backfill, about=f"backfill {backfill_id}")


def list_backfills(api: RestApi, page: Page, dag_id: str) -> Call[tuple[list[Backfill], int]]:
    """List the backfills of a dag, the newest first (``GET backfills``). A dag that does not exist has none."""
    _require_v2(api)
    return Call(
        method="GET",
        path="backfills",
        read=collection_reader("backfills", _read_backfill),
        about=f"backfills of dag {dag_id!r}",
        params={"dag_id": dag_id, "order_by": "-id", **page},
    )


def cancel_backfill(api: RestApi, backfill_id: int) -> Call[Backfill]:
    """
    Cancel a backfill (``PUT backfills/{backfill_id}/cancel``): its queued runs fail, its running runs go on.

    :raise ConflictError: (from the target) the backfill is completed, or was cancelled before
    """
    _require_v2(api)
    return Call(
        method="PUT",
        path=f"backfills/{backfill_id}/cancel",
        read=_read_backfill,
        about=f"backfill {backfill_id}",
        idempotent=True,
    )
