"""
One poll per Deployment for all waits of a process.

A wait is a question put to a watcher, not a loop of its own. Once per interval, the watcher lists for everybody what
has finished in the target, and wakes the waits which that may concern; a wait that is woken checks for itself, and only
its own check decides it. Between polls, the waits are woken in turn for what no list of finished runs shows: a run that
was deleted or cleared, a clock that jumped, a list that leaves out what the token may not see.

* ``registry``      which watcher a connection shares
* ``watcher``       the coroutines: waiting, checking, polling
* ``timetable``     when the next poll and the next checks are due (pure)
* ``feeds``         what has finished, of dag runs and of task instances, and which waits that concerns
* ``plan``          what a poll is to list, and what it has brought
* ``turns``         how many waits are checked in turn (pure)
* ``subscription``  one wait

What it costs the target: one list request per interval, and the checks in turn, see ``turns``. When lists fail, each
wait is checked instead, in turn; when nothing is answered, the target gets one request per interval.
"""
