"""Tasks of a plain Celery program, which does not depend on the crate."""
import os
import signal
import time

from celery import Celery
from celery.backends.rpc import RPCBackend

app = Celery("tasks", broker=os.environ["CELERY_BROKER_URL"], backend="rpc://")
app.conf.task_track_started = True
app.conf.broker_connection_retry_on_startup = True
# A task or its result is then not lost with the broker or with the worker.
app.conf.task_acks_late = True
app.conf.result_persistent = True
# A result is then sent again if the connection breaks before the broker has it.
app.conf.broker_transport_options = {"confirm_publish": True}
# Celery then tries to send a result as long as the broker is away. Otherwise it drops the result after 20 attempts, one a
# second, and reports that the task has failed with an OperationalError. There is no setting for that.
RPCBackend.retry_policy = dict(RPCBackend.retry_policy, max_retries=None)


@app.task(name="tasks.add")
def add(a, b):
    return a + b


@app.task(name="tasks.resize")
def resize(path, width):
    return f"{path} to {width}"


@app.task(name="tasks.fail")
def fail(text):
    raise ValueError(text)


@app.task(name="tasks.nap")
def nap(door, seconds):
    """Opens a door, if there is one, which shows that the task has begun. Then sleeps."""
    if door:
        open(door, "w").close()
    time.sleep(seconds)
    return seconds


@app.task(name="tasks.hold")
def hold(begun, go):
    """Opens the door `begun`, and ends when the door `go` is opened."""
    open(begun, "w").close()
    open(go).close()
    return 7


@app.task(name="tasks.die")
def die():
    os.kill(os.getpid(), signal.SIGKILL)


@app.task(name="tasks.double_bytes")
def double_bytes(data):
    assert isinstance(data, bytes)
    return data * 2


@app.task(name="tasks.who")
def who(n):
    """Returns the number and the worker, as the example `cluster` shows them."""
    return n, f"python {os.getpid()}"
