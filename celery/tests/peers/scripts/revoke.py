"""Revokes and limits tasks of a worker in Rust that has one slot."""
import datetime
import os

from celery.exceptions import TaskRevokedError, TimeLimitExceeded, TimeoutError

from tasks import app

door = os.environ["DOOR"]


def call(name, *args, **options):
    return app.send_task(name, args, queue=os.environ["QUEUE"], **options)


def fails(result, kind):
    try:
        value = result.get(timeout=60)
    except kind as error:
        return error
    raise AssertionError(f"it has returned {value!r}")


# A task is revoked while it runs.
running = call("tests.hang", door)
open(door).close()
waiting = call("tests.sum_to", 3)
waiting.revoke()
running.revoke()
running.revoke(terminate=True)
fails(running, TaskRevokedError)
# The other one was revoked before its start.
fails(waiting, TaskRevokedError)

# A task ends at its time limit.
late = call("tests.hang", door, time_limit=1)
open(door).close()
fails(late, TimeLimitExceeded)

# A task that has expired is not run.
past = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=1)
fails(call("tests.sum_to", 3, expires=past), TaskRevokedError)
assert call("tests.sum_to", 3, expires=60).get(timeout=60) == 6
# Tasks that wait for their time need no slot.
later = [call("tests.sum_to", 3, countdown=3600) for _ in range(3)]
soon = call("tests.sum_to", 5, countdown=1)
assert soon.get(timeout=60) == 15
for result in later:
    result.revoke()
    fails(result, TaskRevokedError)
assert call("tests.sum_to", 4).get(timeout=60) == 10
