"""What has finished in one Deployment, and which waits that concerns, whether these are runs or task instances."""

from __future__ import annotations

import heapq
from abc import ABC, abstractmethod
from collections import Counter, OrderedDict
from itertools import islice
from typing import TYPE_CHECKING, ClassVar, Generic

from astro_provider.api.errors import AccessDeniedError, InvalidRequestError, NotFoundError
from astro_provider.triggers.watcher.batches import Batch, Batches, in_doubt
from astro_provider.triggers.watcher.check_rate import POLLS_PER_CHECK, CheckRate
from astro_provider.triggers.watcher.index import SubscriptionIndex
from astro_provider.triggers.watcher.plan import Listed, Plan, Row
from astro_provider.waits.transient import Tolerance

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Iterable, Sequence

    from astro_provider.api.client import Client
    from astro_provider.api.errors import AstroError
    from astro_provider.api.flow import Flow
    from astro_provider.triggers.watcher.subscription import Subscription

OVERLAP_SECONDS = 30.0
"""Seconds by which a list reaches back behind the one before: an end date is set before its row is committed."""

MAX_DAGS_LISTED_PER_POLL = 10
"""Requests that a poll may cost (further pages apart) where the token may not list across dags; the dags take turns."""

LIST_BY_DAG_SECONDS = 300.0
"""Seconds before a list that was refused (across dags, or filtered) is tried again; across dags they double, up to the
maximum."""

MAX_LIST_BY_DAG_SECONDS = 3600.0

MAX_FAILED_CHECKS_PER_POLL = 10
"""Checks that have failed, while lists are answered, and are repeated after a poll."""

MAX_WAITS_CHECKED_INDIVIDUALLY = 3
"""Waits that are all checked individually: a list would check them no sooner."""


class Feed(ABC, Generic[Row]):
    """
    Lists what has finished, for the subscriptions that wait for such.

    :param clock: seconds since the epoch
    """

    rows_named: ClassVar[str]

    def __init__(self, clock: Callable[[], float]) -> None:
        self.failing = False
        """The last list failed."""
        self.checks_answered = False
        """While lists fail: whether the last check was answered."""
        self.is_given_up = False
        """While lists fail: the error is tolerated no more; the check of each wait decides now."""
        self.missed: OrderedDict[Subscription, None] = OrderedDict()
        """Subscriptions to check as soon as the target answers."""
        self._patience = Tolerance(clock)
        self._has_answered = False
        self._clock = clock
        self._line: OrderedDict[Subscription, None] = OrderedDict()
        self._intervals: Counter[float] = Counter()
        self._check_rate = CheckRate()
        self._batches = Batches()
        self._individually_until = float("-inf")
        self._polls = 0
        self._since: dict[str, float] = {}
        self._number_of_dag: Counter[str] = Counter()
        self._index = SubscriptionIndex()
        self._handled: dict[Hashable, float] = {}
        self._by_dag_until: float | None = None
        self._by_dag_seconds = LIST_BY_DAG_SECONDS

    @property
    def subscriptions(self) -> Collection[Subscription]:
        """All of them, those first that were not checked for the longest time."""
        return self._line

    @property
    def lists_by_dag(self) -> bool:
        """Whether the token may not list across dags, as far as is known."""
        return self._by_dag_until is not None

    @property
    def only_lists_fail(self) -> bool:
        """Whether checks are answered, and lists are not."""
        return self.failing and self.checks_answered

    @property
    def answers_nothing(self) -> bool:
        """Whether the target is to be spared until it answers again."""
        return self.failing and not self.checks_answered and not self.is_given_up

    def join(self, subscription: Subscription) -> None:
        """List for this one, too."""
        dag_id = subscription.wait.dag_id
        self._line[subscription] = None
        self._intervals[subscription.poke_interval] += 1
        self._number_of_dag[dag_id] += 1
        self._since.setdefault(dag_id, self._clock())  # its own first check sees what was before
        if subscription.has_answered and not self._has_answered:
            self._note_answer()
        self._index.add(subscription)

    def leave(self, subscription: Subscription) -> None:
        """Forget it."""
        dag_id = subscription.wait.dag_id
        del self._line[subscription]
        self.missed.pop(subscription, None)
        self._intervals[subscription.poke_interval] -= 1
        self._intervals += Counter()  # drops what nobody has any more
        self._index.discard(subscription)
        self._batches.discard(subscription)
        self._number_of_dag[dag_id] -= 1
        if not self._number_of_dag[dag_id]:
            del self._number_of_dag[dag_id], self._since[dag_id]

    def set_back(self, seconds: float) -> None:
        """Go by a clock that was set back so far."""
        self._since = {dag_id: at - seconds for dag_id, at in self._since.items()}
        self._individually_until -= seconds
        if self._by_dag_until is not None:
            self._by_dag_until -= seconds

    # Checks.

    def checked(self, subscription: Subscription) -> None:
        """Note that the check of a subscription was answered."""
        self.checks_answered = True
        self.is_given_up = False
        self._note_answer()
        self.missed.pop(subscription, None)
        if subscription in self._line:
            self._line.move_to_end(subscription)
            self._batches.discard(subscription)
            if subscription.is_listable and self._lists_unfinished():
                self._batches.add(subscription)

    def tolerates(self, error: AstroError) -> bool:
        """
        Say whether to spare the target after an error of a list or a check: nobody was answered since the first one.

        A refusal is tolerated for some time only (see ``Tolerance``). A 404 is about one wait.
        """
        return isinstance(error, NotFoundError) or self._patience.tolerates(error, lambda _: None)

    def _note_answer(self) -> None:
        self._has_answered = True
        self._patience.note_answer()

    def begin_poll(self) -> bool:
        """Begin a poll; say whether it is to list, which it does every other time while lists fail."""
        self._polls += 1
        return not self.failing or self._polls % POLLS_PER_CHECK != 0

    def take_turns(self, elapsed: float) -> list[Subscription]:
        """Take those whose turn to be checked individually it is, some seconds after the last time."""
        line: Iterable[Subscription] = self._line
        if self.answers_nothing:
            number = int(self._polls % POLLS_PER_CHECK == 0)
        elif self.failing:
            number = self._check_rate.take_without_lists(elapsed, self._intervals)
        else:
            if len(self._line) > MAX_WAITS_CHECKED_INDIVIDUALLY:
                # One that has not been checked yet waits for that check already.
                line = [each for each in self._line if each.checks and each not in self._batches]
            number = self._check_rate.take(elapsed, Counter(each.poke_interval for each in line))
        taken = list(islice(line, number))
        for subscription in taken:
            self._line.move_to_end(subscription)
        return taken

    def take_missed(self, *, was_failing: bool) -> list[Subscription]:
        """Take those whose check failed: all when the target answers again, else a few per poll."""
        number = len(self.missed) if was_failing else min(MAX_FAILED_CHECKS_PER_POLL, len(self.missed))
        return [self.missed.popitem(last=False)[0] for _ in range(number)]

    # Lists of what has not finished, which check many waits at once.

    def take_batches(self, elapsed: float) -> list[Batch]:
        """Take those whose turn to be checked by lists it is, some seconds after the last time."""
        if not self._lists_unfinished():
            self._batches.clear()
        if self.failing or len(self._line) <= MAX_WAITS_CHECKED_INDIVIDUALLY:
            return []
        return self._batches.take(elapsed, by_dag=self.lists_by_dag)

    def batch_listed(self, batch: Batch, rows: list[Row]) -> None:
        """Have those checked individually that a list has not found as they were."""
        self._batches.discard(*in_doubt(batch, rows))

    def batch_failed(self, batch: Batch, error: Exception) -> None:
        """Have those checked individually that a list was to check; all waits, for some time, if it was refused."""
        self._batches.discard(*batch.subscriptions)
        if isinstance(error, InvalidRequestError) or (isinstance(error, AccessDeniedError) and error.status == 403):
            self._individually_until = self._clock() + LIST_BY_DAG_SECONDS

    def _lists_unfinished(self) -> bool:
        return self._clock() >= self._individually_until

    @abstractmethod
    def unfinished(self, client: Client, batch: Batch) -> Flow[list[Row]]:
        """
        List what has not finished, of the runs of a batch.

        :raise AstroError: the list failed
        """

    # Lists of what has finished.

    def plan(self, now: float) -> Plan:
        """Take down what to list."""
        oldest = heapq.nsmallest(MAX_DAGS_LISTED_PER_POLL, self._since.items(), key=lambda item: item[1])
        return Plan(
            by_dag=self._by_dag_until is not None and now < self._by_dag_until,
            dag_ids=sorted(self._since),
            since=min(self._since.values()),
            oldest=oldest,
            due_after=min(each.due_after for each in self._line).isoformat(),
            filters=self._filters(),
        )

    def finished(self, client: Client, plan: Plan) -> Flow[Listed[Row]]:
        """
        List what has finished: across dags, or dag by dag where the token may only do that.

        :raise AstroError: a list failed
        """
        if not plan.by_dag:
            try:
                rows = yield from self._list(client, plan, client.at_target(plan.since - OVERLAP_SECONDS))
                return Listed(rows, plan.dag_ids, by_dag=False)
            except AccessDeniedError as error:
                if error.status != 403:  # another token may do both, or neither
                    raise
        return (yield from self._list_by_dag(client, plan))

    def _list_by_dag(self, client: Client, plan: Plan) -> Flow[Listed[Row]]:
        rows: list[Row] = []
        refused: list[AccessDeniedError] = []
        for dag_id, since in plan.oldest:
            ended_after = client.at_target(since - OVERLAP_SECONDS)
            # A dag that is not there yet, or is refused, is decided by the checks of its own waits.
            try:
                rows += yield from self._list_dag(client, dag_id, ended_after, plan)
            except NotFoundError:
                continue
            except AccessDeniedError as error:
                refused.append(error)
                if error.status != 403 or len(refused) == len(plan.oldest):
                    raise
        return Listed(rows, [dag_id for dag_id, _ in plan.oldest], by_dag=True)

    def listed(self, listed: Listed[Row], plan: Plan, now: float) -> set[Subscription]:
        """
        Note what a list has brought.

        :param now: when the list was asked for
        :return: the subscriptions that it concerns
        """
        self.failing = self.is_given_up = False
        self._note_answer()
        for dag_id in listed.dag_ids:
            if dag_id in self._since:
                self._since[dag_id] = now
        if not listed.by_dag:
            self._by_dag_until, self._by_dag_seconds = None, LIST_BY_DAG_SECONDS
        elif not plan.by_dag:
            self._by_dag_until = now + self._by_dag_seconds
            self._by_dag_seconds = min(2 * self._by_dag_seconds, MAX_LIST_BY_DAG_SECONDS)
        concerned: set[Subscription] = set()
        for row in listed.rows:
            key = self._key(row)
            if key not in self._handled:  # else the overlap has brought it again
                concerned |= self._index.find(row)
            self._handled[key] = now
        # A list dag by dag comes round to a dag less often, and reaches back as far.
        oldest = min(self._since.values(), default=now) - 2 * OVERLAP_SECONDS
        self._handled = {key: at for key, at in self._handled.items() if at > oldest}
        return concerned

    def failed(self, *, tolerated: bool) -> bool:
        """
        Note that a list has failed.

        :param tolerated: whether the error may pass by itself
        :return: whether the one before had not
        """
        begins = not self.failing
        if begins:
            self.checks_answered = False  # an earlier one that was answered says nothing of now
        self.failing = True
        self.is_given_up = not tolerated
        return begins

    def _filters(self) -> Sequence[tuple[Sequence[str], Sequence[str] | None, Sequence[str] | None]]:
        return ()

    @abstractmethod
    def _list(self, client: Client, plan: Plan, ended_after: str) -> Flow[list[Row]]: ...

    @abstractmethod
    def _list_dag(self, client: Client, dag_id: str, ended_after: str, plan: Plan) -> Flow[list[Row]]: ...

    @abstractmethod
    def _key(self, row: Row) -> Hashable: ...
