"""The waits for idle dags, and the lists that show which of these dags might be idle."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

from astro_provider.api.errors import AccessDeniedError, NotFoundError
from astro_provider.api.idle_lists import active_tasks_of_dag
from astro_provider.triggers.watcher.idle_round import IdleRound
from astro_provider.triggers.watcher.polled_waits import MAX_DAGS_LISTED_PER_POLL, PolledWaits
from astro_provider.triggers.watcher.subscription import wake_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from astro_provider.api.client import Client
    from astro_provider.api.flow import Flow
    from astro_provider.triggers.watcher.subscription import Subscription

MAX_LISTS_PER_POLL = 3
"""Maximum number of list requests per poll. A round that needs more continues at the next poll."""

MIN_PAUSE_SECONDS = 5.0
"""
Seconds before a wait for a dag is woken again after its check has found, unlike the lists, that the dag is not idle.

The time doubles each time, until a round shows that the dag is not idle.
"""

MAX_PAUSE_SECONDS = 120.0
"""Maximum of these seconds."""


class _Pause(NamedTuple):
    until: float
    seconds: float


class IdleDags(PolledWaits):
    """
    Finds the dags that might be idle, and the waits to wake.

    The poller calls ``find_idle`` at each poll, then ``note_idle``. Of several waits for a dag, one is woken. If its
    check finds the dag idle, the others are woken.

    :param clock: returns the time in seconds since the epoch
    """

    rows_name = "active task instances"

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(clock)
        self._waits_by_dag: OrderedDict[str, dict[Subscription, None]] = OrderedDict()
        self._round = IdleRound(())
        self._found_in_round: set[str] = set()
        self._pauses: dict[str, _Pause] = {}

    def join(self, subscription: Subscription) -> None:
        """
        Add a wait; rounds that begin from now on include its dag.

        :param subscription: the wait
        """
        super().join(subscription)
        self._waits_by_dag.setdefault(subscription.wait.dag_id, {})[subscription] = None

    def leave(self, subscription: Subscription) -> None:
        """
        Remove a wait.

        :param subscription: the wait
        """
        super().leave(subscription)
        dag_id = subscription.wait.dag_id
        del self._waits_by_dag[dag_id][subscription]
        if not self._waits_by_dag[dag_id]:
            del self._waits_by_dag[dag_id]
            self._pauses.pop(dag_id, None)

    def move_back(self, seconds: float) -> None:
        """
        Shift all stored times after the clock moved backwards.

        :param seconds: by how many seconds
        """
        super().move_back(seconds)
        self._pauses = {dag_id: _Pause(until - seconds, pause) for dag_id, (until, pause) in self._pauses.items()}

    def note_check(self, subscription: Subscription) -> None:
        """
        Note that the check of a wait has succeeded. If it has found the dag idle, wake the other waits for this dag.

        :param subscription: the wait
        """
        super().note_check(subscription)
        verdict = subscription.progress.last
        if verdict is not None and verdict.outcome == "success":
            wake_all(each for each in self._waits_by_dag[subscription.wait.dag_id] if each is not subscription)

    def find_idle(self, client: Client) -> Flow[set[str]]:
        """
        Continue the current round, or begin the next one, with ``MAX_LISTS_PER_POLL`` requests at most.

        If the token is not allowed to list across dags, active task instances are listed dag by dag.

        :param client: the target
        :return: the dags that might be idle
        :raise AstroError: a list failed
        """
        if not self._must_list_by_dag(self._clock()):
            try:
                found = yield from self._list_across_dags(client)
            except AccessDeniedError as error:
                if error.status != 403:  # a 401 is about the token itself, not about what it is allowed to list
                    raise
                self._note_refused_list(self._clock())
            else:
                self._note_list_across_dags()
                return found
        return (yield from self._list_by_dag(client))

    def _list_across_dags(self, client: Client) -> Flow[set[str]]:
        if self._round.is_over:
            self._forget_pauses(set(self._pauses) - self._found_in_round)
            self._round, self._found_in_round = IdleRound(self._waits_by_dag), set()
        found: set[str] = set()
        for _ in range(MAX_LISTS_PER_POLL):
            found |= yield from self._round.next_list(client)
            if self._round.is_over:
                break
        self._found_in_round |= found
        return found

    def _list_by_dag(self, client: Client) -> Flow[set[str]]:
        found: set[str] = set()
        refused_count = 0
        dag_ids = list(self._waits_by_dag)[:MAX_DAGS_LISTED_PER_POLL]
        for dag_id in dag_ids:
            # A dag that does not exist (404) or is forbidden (403) does not fail the list, unless all dags are
            # forbidden. The check of a wait for this dag decides.
            try:
                _, total = yield from active_tasks_of_dag(client, dag_id, 1)
            except NotFoundError:
                total = 0
            except AccessDeniedError as error:
                refused_count += 1
                if error.status != 403 or refused_count == len(dag_ids):
                    raise
                total = 0
            if dag_id in self._waits_by_dag:
                self._waits_by_dag.move_to_end(dag_id)
            if total:
                self._forget_pauses([dag_id])
            else:
                found.add(dag_id)
        return found

    def note_idle(self, dag_ids: Iterable[str]) -> set[Subscription]:
        """
        Note the result of ``find_idle``.

        :param dag_ids: the dags that might be idle
        :return: one wait for each of these dags, unless its last such check was too recent
        """
        self.availability.note_list()
        now = self._clock()
        woken = set()
        for dag_id in dag_ids:
            waits, last = self._waits_by_dag.get(dag_id), self._pauses.get(dag_id)
            if not waits or (last is not None and now < last.until):
                continue
            seconds = MIN_PAUSE_SECONDS if last is None else min(2 * last.seconds, MAX_PAUSE_SECONDS)
            self._pauses[dag_id] = _Pause(now + seconds, seconds)
            woken.add(next(iter(waits)))
        return woken

    def _forget_pauses(self, dag_ids: Iterable[str]) -> None:
        for dag_id in dag_ids:
            self._pauses.pop(dag_id, None)
