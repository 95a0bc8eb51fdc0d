"""Inspects and controls a worker in Rust by the command line of Celery, and from Python."""
import json
import os
import subprocess

from tasks import app

queue, name, begun, go = (os.environ[key] for key in ("QUEUE", "NAME", "BEGUN", "GO"))


def celery(*arguments):
    command = [os.environ["CELERY"], "-A", "tasks", *arguments, "-t", "10", "-d", name]
    output = subprocess.run(command, capture_output=True, text=True)
    assert output.returncode == 0, output.stderr + output.stdout
    return output.stdout


assert f"{name}: OK" in celery("status")
assert json.loads(celery("inspect", "ping", "--json"))[name] == {"ok": "pong"}
assert "tests.sum_to" in celery("inspect", "registered")
assert json.loads(celery("inspect", "active_queues", "--json"))[name][0]["name"] == queue

running = app.send_task("tests.hold", (begun, go), queue=queue)
open(begun).close()
later = app.send_task("tests.sum_to", (3,), queue=queue, countdown=3600)
inspect = app.control.inspect(destination=[name], timeout=10)
[active] = inspect.active()[name]
assert (active["id"], active["name"]) == (running.id, "tests.hold"), active
assert active["delivery_info"]["routing_key"] == queue and active["time_start"] > 1e9, active
while not inspect.scheduled()[name]:
    pass  # An order may be read before a message that was sent before it.
[scheduled] = inspect.scheduled()[name]
assert scheduled["request"]["id"] == later.id, scheduled
assert inspect.reserved()[name] == []
state, info = inspect.query_task(running.id)[name][running.id]
assert (state, info["id"]) == ("active", running.id)
assert inspect.conf()[name]["worker_concurrency"] == 2
later.revoke()
while later.id not in inspect.revoked()[name]:
    pass

# The worker takes tasks from another queue while it is told to.
assert "ok" in app.control.add_consumer(queue + ".more", reply=True, destination=[name], timeout=10)[0][name]
assert app.send_task("tests.sum_to", (4,), queue=queue + ".more").get(timeout=60) == 10
assert "ok" in app.control.cancel_consumer(queue + ".more", reply=True, destination=[name], timeout=10)[0][name]
assert [found["name"] for found in inspect.active_queues()[name]] == [queue]
app.send_task("tests.sum_to", (4,), queue=queue + ".more")

# The worker refuses commands that it does not know.
assert "error" in app.control.broadcast("pool_grow", reply=True, destination=[name], timeout=10)[0][name]

open(go, "w").close()
assert running.get(timeout=60) == 7
stats = inspect.stats()[name]
assert stats["total"]["tests.hold"] == 1 and stats["pool"]["max-concurrency"] == 2, stats
app.control.shutdown(destination=[name])
