from tests.unit.task_runner import *  # noqa: F403  its fixtures
