"""
One poll per connection for all deferred waits of a triggerer process.

Without a watcher, a thousand deferred tasks would send a thousand requests per interval. Instead, all waits on the same
connection share one watcher (``registry.shared_watcher``) and call its method ``watch``:

1. The wait is checked once when it joins: it might be over already. A wait that joins alone is checked individually.
   Waits for single runs that join together, such as those of a triggerer that starts again, are answered by one list of
   the unfinished runs of their dags; only those that the list does not show are checked individually. A run that the
   caller has just created or seen replaces this check.
2. Then its coroutine sleeps. Once per interval, the watcher polls: one list request returns every run of the dags of
   its waits that has finished since the last poll. An index finds the waits for these runs, and the watcher wakes only
   them. Waits for tasks are polled in the same way, with a separate list of task instances.
3. A wait that was woken is checked individually. A list never ends a wait; only its own check decides the outcome.
4. A list of finished runs does not show everything: a run that was deleted or cleared, a row that was committed late, a
   clock that jumped. Periodic checks therefore cover every wait within ten minutes, or within two of its intervals if
   these are longer, whatever the lists contain. One request checks a batch of up to a hundred waits, by listing the
   runs that have not finished, or the instances of the tasks. A run that has started meanwhile is reported without
   another check. Waits that no list can check, such as those for the newest run or for a task group, are checked
   individually.

What this costs the target, in requests per interval, with the default interval of 5 seconds:

* up to 3 waits for runs: 1.5 requests, which are the poll, and a check of one wait at every other poll;
* 4 to about 3,000 waits: 1.25 requests, which are the poll, and a check of a batch at every fourth poll;
* 10,000 waits: 1.83 requests, which are the poll, and 0.83 checks of batches;
* waits for the runs in a range of logical dates: the same, with a batch for each hundred runs, in whatever state. Waits
  for the same range of the same dag share its rows. Ranges that together have a thousand runs or more are checked
  individually. A run that finishes makes every wait whose range has it check once;
* waits that no list can check: in addition, 0.5 requests for up to 60 such waits, and 83 requests for 10,000;
* waits that an unfinished state ends, such as ``allowed_states=["running"]``: one check of each wait per interval;
* waits for tasks: as many polls as for runs. A batch has fewer waits if they are for different tasks, and the check of
  a single wait takes at least two requests. If a connection has waits for runs and for tasks, each kind has its own
  polls and checks. If it has waits for tasks and for task groups, a poll takes one list for each;
* when waits for runs join together, one request, and one for each page of unfinished runs: 11 requests for 1,000 waits
  for the only 1,000 unfinished runs of their dags. Waits for tasks, for the newest run or for several logical dates,
  and those that must check what exists, are checked once each. A wait whose caller gives its run costs no request;
* each wait is checked once when its run or task has finished;
* when runs are queued for five seconds, one request for each of their dags, to warn if it is paused.

The interval of the poll is the shortest current interval of all waits on the connection. The interval of a wait follows
its age: one second at first, then a tenth of the time waited so far, up to its ``poke_interval``
(``api.durations.check_interval``). A wait that joins makes the next poll come within a second. The figures above are
for waits that have reached their ``poke_interval``. Younger waits make polls more frequent, but not periodic checks.

While only lists fail, waits are checked individually: at least ten per poll, and more if this is necessary to check all
of them within ten minutes. While neither lists nor checks succeed, the target gets one request per interval, or two if
there are both waits for runs and waits for tasks. If the token is not allowed to list across dags, each poll lists up
to ten dags, one request each.

Waits for idle dags have polls of their own, because nothing that has finished shows that nothing else runs. Each poll
takes at most 3 requests, however many waits and dags there are: lists of active task instances, of unfinished runs, and
of paused dags. One request per poll is enough while all active tasks of these dags fit on a page. If they do not, a
round over all dags continues at the next poll: 1,000 dags whose tasks run take four polls. A wait whose dag might be
idle is checked individually, with 3 requests at most, and so are the other waits for this dag once it has ended.

Waits for something else than runs and tasks, such as the response of any endpoint, call ``shared_checks.check_until``.
They are not polled: each different request is sent once per interval, for all waits that need its response, with at
most five requests under way at the same time.

The modules, from the outside in:

* ``registry``         finds the watcher of a connection
* ``watcher``          the entry point: one wait joins, is woken and checked, and leaves
* ``subscription``     one wait, as the watcher knows it
* ``poll_loop``        sleeps until something is due; ``poll_timetable`` decides when that is (pure)
* ``joins``            answers waits that join together by one list
* ``checker``          checks one wait, within its deadline, or uses the row of a list in place of a check
* ``poller``           runs the polls and the checks of batches
* ``feed``             decides what a poll lists, and finds the waits for its rows; ``finished`` has one feed for dag
  runs and one for task instances, ``listing`` the request and the result of a list, ``index`` finds the waits for a row
* ``polled_waits``     the waits that the same polls answer, the base of ``feed`` and ``idle_dags``
* ``idle_dags``        the waits for idle dags; ``idle_round`` finds dags that might be idle, ``idle_poller`` polls
* ``periodic_checks``  decides which waits are checked next; ``periodic_check_rate`` limits how many, ``batches`` groups
  them (both pure)
* ``shared_checks``    sends the requests of waits for something else than runs and tasks
* ``paused_dags``      warns waits whose run stays queued because its dag is paused
* ``availability``     whether the target answers lists and checks, and how much to request of it (pure)
* ``target``           runs flows through the hook, and reads the connection again when its token might be outdated
"""
