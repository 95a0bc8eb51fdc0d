"""Receives the events of a worker in Rust."""
import os

from tasks import app

queue, name = os.environ["QUEUE"], os.environ["NAME"]
told = {}
seen = []


def note(event):
    if event["hostname"] != name:
        return
    seen.append(event)
    uuid = event.get("uuid")
    if uuid:
        told.setdefault(uuid, []).append(event["type"])
    if len(told) == 3 and all(types[-1] in ("task-succeeded", "task-failed", "task-revoked") for types in told.values()):
        receiver.should_stop = True


with app.connection() as connection:
    receiver = app.events.Receiver(connection, handlers={"*": note})

    # Tasks are sent only once the receiver has its queue, so that no event is missed.
    def ready(*_, **__):
        assert "ok" in app.control.enable_events(reply=True, destination=[name], timeout=10)[0][name]
        global good, bad, late
        good = app.send_task("tests.sum_to", (3,), queue=queue)
        bad = app.send_task("tests.parse", ("x",), queue=queue)
        late = app.send_task("tests.sum_to", (3,), queue=queue, countdown=3600)
        late.revoke()

    original = receiver.on_consume_ready
    receiver.on_consume_ready = lambda *args, **kwargs: (original(*args, **kwargs), ready())
    receiver.capture(limit=None, timeout=60, wakeup=True)

assert told[good.id] == ["task-received", "task-started", "task-succeeded"], told
assert told[bad.id] == ["task-received", "task-started", "task-failed"], told
assert told[late.id] == ["task-received", "task-revoked"], told
succeeded = next(event for event in seen if event["type"] == "task-succeeded")
assert succeeded["result"] == "6" and succeeded["runtime"] >= 0, succeeded
failed = next(event for event in seen if event["type"] == "task-failed")
assert "ParseIntError" in failed["exception"], failed
heartbeat = next(event for event in seen if event["type"] == "worker-heartbeat")
assert heartbeat["freq"] == 2 and heartbeat["sw_ident"] == "concurrent-futures", heartbeat
