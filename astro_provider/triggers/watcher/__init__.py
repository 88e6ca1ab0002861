"""
One poll per Deployment for all deferred waits of a triggerer process.

Without a watcher, a thousand deferred tasks would send a thousand requests per interval. Instead, all waits on the same
connection share one watcher (``registry.shared_watcher``) and call its method ``wait``:

1. The wait is checked once, individually, when it joins: it might be over already.
2. Then its coroutine sleeps. Once per interval, the watcher polls: one list request returns every run that has finished
   in the target since the last poll. An index finds the waits that are for these runs, and the watcher wakes only them.
   A wait for tasks is polled in the same way with a list of task instances.
3. A wait that was woken is checked individually. A list never ends a wait; only its own check decides the outcome.
4. A list of finished runs does not show everything: a run that was deleted or cleared, a row that was committed late, a
   clock that jumped. Periodic checks therefore cover every wait within ten minutes, whatever the lists contain. One
   request checks a batch of up to a hundred waits, by listing the runs that have not finished; waits that no list can
   check, such as those for the newest run, are checked individually.

What this costs the target, with the default interval of 5 seconds:

* up to 3 waits for runs: 1.5 requests per interval, which are the poll, and a check of one wait at every other poll;
* 4 to about 3,000 waits: 1.25 requests per interval, which are the poll, and a check of a batch at every fourth poll;
* 10,000 waits: 1.83 requests per interval, which are the poll, and 0.83 checks of batches;
* waits that no list can check: one more request per two intervals for up to 60 such waits, 83 per interval for 10,000;
* waits for tasks: as much again as the same number of waits for runs;
* besides, one check of each wait when it joins, and one when its run or task has finished.

The interval of the poll is the shortest interval of all waits on the connection.

While only lists fail, waits are checked individually: at least ten per poll, and all of them within ten minutes. While
the target does not answer at all, it gets one request per interval. If the token is not allowed to list across dags,
each poll lists up to ten dags, one request each.

The modules, from the outside in:

* ``registry``         finds the watcher of a connection
* ``watcher``          the entry point: one wait joins, is woken and checked, and leaves
* ``subscription``     one wait, as the watcher knows it
* ``scheduler``        sleeps until something is due; ``poll_timetable`` decides when that is (pure)
* ``checker``          checks one wait, within its deadline
* ``poller``           runs the polls and the checks of batches
* ``feed``             what a poll lists, and which waits its rows are for; ``finished`` has one for dag runs and one
  for task instances, ``listing`` the request and the result of a list, ``index`` finds the waits for a row
* ``periodic_checks``  which waits are checked next; ``periodic_check_rate`` limits how many, ``batches`` groups
  them (both pure)
* ``availability``     whether the target answers lists and checks, and how much to request of it (pure)
* ``target``           runs flows through the hook, and reads the connection again when its token might be outdated
"""
