"""
One poll per Deployment for all waits of a process.

A wait is a question put to a watcher, not a loop of its own. Once per interval, the watcher lists for everybody what
has finished in the target, and wakes the waits which that may concern; a wait that is woken checks for itself, and only
its own check decides it. Between polls, the waits are woken in turn for what no list of finished runs shows: a run that
was deleted or cleared, a clock that jumped, a list that leaves out what the token may not see.

* ``registry``      which watcher a connection shares
* ``watcher``       the coroutines: waiting, checking, polling
* ``timetable``     when the next poll and the next checks are due (pure)
* ``feed``          what has finished, and which waits that concerns; ``feeds`` has dag runs, and task instances
* ``plan``          what a poll is to list, and what it has brought
* ``turns``         how many checks in turn are due (pure)
* ``batches``       waits that are checked in turn by lists of what has not finished, a hundred at once (pure)
* ``subscription``  one wait

What it costs the target: one list request per interval, and the checks in turn, see ``turns``. While lists of finished
runs fail, each wait is checked individually, in turn; when nothing is answered, the target gets one request per
interval.
"""
