from tests.unit.tasks import *  # noqa: F403  its fixtures
