"""The default note of a dag run: who triggered it, with a link that leads back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from astro_provider.airflow_versions import UNSET_BASE_URL
from astro_provider.api.errors import InvalidRequestError
from astro_provider.api.template_values import is_empty

if TYPE_CHECKING:
    from collections.abc import Mapping

    from astro_provider.api.client import Client
    from astro_provider.api.flow import Flow
    from astro_provider.api.types import DagRun

MAX_NOTE_CHARACTERS = 1000
"""Airflow refuses longer notes. Measured: 2.11.2, 3.3.2."""

MIN_ID_CHARACTERS = 16
"""If a link leaves less room than this for each id, the note has no link."""


def task_note(ti: Any, deployment: str) -> str:
    """
    Make the note of a run that a task triggers.

    :param ti: the task instance of a context
    :param deployment: URL of the triggering Deployment's UI
    """
    mapped = f" (map index {ti.map_index})" if ti.map_index is not None and ti.map_index >= 0 else ""
    return caller_note(
        "Triggered by ",
        f"task {{task}}{mapped} of dag {{dag}}",
        ", run {run}.",
        ids={"task": ti.task_id, "dag": ti.dag_id, "run": ti.run_id},
        url=ui_url(getattr(ti, "log_url", None), deployment),
    )


def ui_url(airflow_url: str | None, deployment: str) -> str | None:
    """
    Return a URL of this Deployment's UI as one that works in the UI of another Deployment.

    Measured: 3.0.6 leaves out the slash after ``base_url``; in 3.0.0, a task has no URL. 2.11.2 and 3.3.2 need this
    function only if ``base_url`` is not set. Check: remove the slash when Airflow 3.0 is no longer supported.

    :param airflow_url: the URL according to Airflow, such as ``log_url`` of a task instance
    :param deployment: URL of the triggering Deployment's UI, the ``base_url``
    :return: the URL; ``None`` if Airflow gives none, or if ``base_url`` is not set
    """
    base_url = deployment.rstrip("/")
    is_set = deployment != UNSET_BASE_URL and deployment.startswith(("http://", "https://"))
    if not is_set or not airflow_url or not airflow_url.startswith(base_url):
        return None
    return f"{base_url}/{airflow_url.removeprefix(base_url).lstrip('/')}"


def caller_note(before: str, linked: str, after: str, *, ids: Mapping[str, str], url: str | None) -> str:
    """
    Make a note of one line, which Airflow's UI shows as Markdown.

    The link comes early: the page of a run in Airflow 3 shows only about 125 characters of its note. If the note would
    be too long, the ids are cut; the URL has all of them. A URL that leaves no room for them is left out.

    :param before: format string of the text before the link
    :param linked: format string of the text of the link
    :param after: format string of the text after the link
    :param ids: the ids in these texts, which are shown as code
    :param url: where the link leads; ``None`` for no link
    """

    def write(room: int) -> str:
        codes = {name: _code(value, room) for name, value in ids.items()}
        link = linked.format(**codes)
        return f"{before.format(**codes)}{f'[{link}]({url})' if url else link}{after.format(**codes)}"

    note = write(MAX_NOTE_CHARACTERS)
    if len(note) <= MAX_NOTE_CHARACTERS:
        return note
    room = (MAX_NOTE_CHARACTERS - len(write(0))) // len(ids)
    if url and room < MIN_ID_CHARACTERS:
        return caller_note(before, linked, after, ids=ids, url=None)
    return write(room)


def _code(value: str, room: int) -> str:
    """
    Write an id as Markdown's code, with about ``room`` characters; all but a backtick are shown unchanged.

    Only Airflow 2 can have a run id with a backtick, if its ``allowed_run_id_pattern`` was changed.
    """
    shown = " ".join(value.split()).replace("`", "'")
    if len(shown) > room:
        shown = f"{shown[:room]}…"
    return f"`{shown}`"


def given_note(value: object) -> str | None:
    """
    Read the ``note`` of the user, whose template is rendered.

    :param value: what it was rendered to. With native rendering, a template without a value is rendered to ``None``
    :return: the note; ``""`` for none, ``None`` for the default note
    """
    if value is None:
        return None
    return "" if is_empty(value) else str(value)


def trigger_with_note(client: Client, dag_id: str, *, note: str | None, default: str, **arguments: Any) -> Flow[DagRun]:
    """
    Trigger a dag run with a note.

    Airflow before 2.5.2 refuses runs with a note. The run is then triggered without the default note.

    :param client: the target
    :param dag_id: the dag
    :param note: the note of the user; ``""`` for none, ``None`` for the default note
    :param default: the default note
    :param arguments: the other arguments of ``Client.trigger_dag_run``
    :return: the new dag run
    :raise AstroError: see ``AstroHook.trigger_dag_run``
    """
    if note is not None:
        return (yield from client.trigger_dag_run(dag_id, note=note or None, **arguments))
    try:
        return (yield from client.trigger_dag_run(dag_id, note=default, **arguments))
    except InvalidRequestError as error:
        if "note" not in error.detail:
            raise
    return (yield from client.trigger_dag_run(dag_id, **arguments))
