"""The sensor that waits for tasks, or a task group, of a dag run in a target Deployment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from astro_provider.api.errors import InvalidParameterError
from astro_provider.api.states import TASK_STATES
from astro_provider.sensors.base import AstroBaseSensor
from astro_provider.tasks.rendered import is_template
from astro_provider.tasks.rendered_wait import TASK_FIELDS

if TYPE_CHECKING:
    from collections.abc import Sequence


class AstroTaskSensor(AstroBaseSensor):
    """
    Waits for tasks, or a task group, of a dag run in another Deployment.

    All tasks must be in one of ``allowed_states``, and all task instances of a mapped task. The parameters that name
    the run, and all other parameters, are those of :class:`~astro_provider.sensors.dag_run.AstroDagRunSensor`, without
    ``idle``. With ``logical_date_range``, the tasks of all runs in it are waited for.

    Exactly one of the first three parameters must be given.

    :param external_task_id: id of the task (templated)
    :param external_task_ids: ids of the tasks (templated)
    :param external_task_group_id: id of the task group (templated). A group that does not prefix the ids of its tasks
        (``prefix_group_id=False``) needs a target with Airflow 3.1.8 or later
    :param allowed_states: states that end the wait successfully, by default ``["success"]``
    :param failed_states: states that fail the sensor at once, by default ``["failed", "upstream_failed"]``
    :param skipped_states: states that skip the sensor, by default none
    :param check_existence: whether to fail if the dag, a task or the group does not exist, instead of waiting for it;
        by default ``False``
    """

    trigger_fields: Sequence[str] = (*AstroBaseSensor.trigger_fields, *TASK_FIELDS)
    template_fields: Sequence[str] = trigger_fields
    external_task_id: str | None = None
    external_task_ids: Sequence[str] | None = None
    external_task_group_id: str | None = None
    valid_states = TASK_STATES
    default_failed_states = ("failed", "upstream_failed")

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
        given = [name for name in TASK_FIELDS if getattr(self, name) is not None]
        if len(given) != 1 or not getattr(self, given[0]):
            raise InvalidParameterError("give one of external_task_id, external_task_ids and external_task_group_id")
        if self.idle:
            raise InvalidParameterError("idle is for a dag, not for tasks: use AstroDagRunSensor")
        self._given.add(given[0])
        if isinstance(external_task_ids, str) and not is_template(external_task_ids):
            raise InvalidParameterError(
                f"external_task_ids must be a list of task ids, not the text {external_task_ids!r}"
            )
