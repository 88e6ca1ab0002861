"""The sensor that waits for tasks, or a task group, of a dag run in a target Deployment."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from astro_provider.api.errors import InvalidParameterError
from astro_provider.api.states import TASK_STATES
from astro_provider.sensors.dag_run import AstroDagRunSensor
from astro_provider.tasks import sensor_fields
from astro_provider.tasks.rendered import is_template

if TYPE_CHECKING:
    from collections.abc import Sequence

    from astro_provider.airflow_versions import Context
    from astro_provider.waits.wait import RunWait


class AstroTaskSensor(AstroDagRunSensor):
    """
    Waits for tasks, or a task group, of a dag run in another Deployment.

    All of them must be in one of ``allowed_states``, of a mapped task every one. Which run is meant, and everything
    else, is as in :class:`~astro_provider.sensors.dag_run.AstroDagRunSensor`.

    :param external_task_id: the task (templated), or
    :param external_task_ids: the tasks (templated), or
    :param external_task_group_id: the task group (templated). One that does not prefix its tasks' ids
        (``prefix_group_id=False``) is known to targets with Airflow 3.1.8+ only
    :param allowed_states: states that end the wait well, by default ``success``
    :param failed_states: states that fail the sensor at once, by default ``failed`` and ``upstream_failed``
    :param skipped_states: states that skip it, by default none
    :param check_existence: fail when the dag, a task or the group is not there, rather than wait for it
    """

    run_fields: Sequence[str] = (
        *AstroDagRunSensor.run_fields,
        "external_task_id",
        "external_task_ids",
        "external_task_group_id",
    )
    template_fields: Sequence[str] = run_fields
    external_task_id: str | None = None
    external_task_ids: Sequence[str] | None = None
    external_task_group_id: str | None = None
    _states = TASK_STATES
    _default_failed_states = ("failed", "upstream_failed")

    def __init__(
        self,
        *,
        external_task_id: str | None = None,
        external_task_ids: Sequence[str] | None = None,
        external_task_group_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.external_task_id = external_task_id
        self.external_task_ids = external_task_ids
        self.external_task_group_id = external_task_group_id
        given = [field for field in sensor_fields.TASK_FIELDS if getattr(self, field) is not None]
        if len(given) != 1 or not getattr(self, given[0]):
            raise InvalidParameterError("give one of external_task_id, external_task_ids and external_task_group_id")
        self._tasks_given_by = given[0]
        if isinstance(external_task_ids, str) and not is_template(external_task_ids):
            raise InvalidParameterError(
                f"external_task_ids must be a list of task ids, not the text {external_task_ids!r}"
            )

    def _wait(self, context: Context) -> RunWait:
        task_ids, group_id = sensor_fields.tasks(self._tasks_given_by, getattr(self, self._tasks_given_by))
        return replace(super()._wait(context), task_ids=task_ids, group_id=group_id)
