"""Records what a version of Celery sends, byte for byte: `python record.py > celery-5.7.0.json`.

Each message has the properties as they are on the wire, and what they say.
"""
import base64
import json
import sys
from datetime import datetime, timezone

import amqp
import celery
from celery import Celery
from kombu import serialization

app = Celery("golden", broker="memory://", backend="rpc://")
app.conf.task_track_started = True
THEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)


@app.task(name="tasks.add")
def add(a, b):
    return a + b


def on_the_wire(body, headers, **properties):
    content_type, content_encoding, text = serialization.dumps(body, serializer="json")
    message = amqp.basic_message.Message(
        text,
        content_type=content_type,
        content_encoding=content_encoding,
        application_headers=headers,
        delivery_mode=2,
        priority=0,
        **properties,
    )
    return {"properties": base64.b64encode(message._serialize_properties()).decode(), "body": text}


def task(expected, *, args=(), kwargs=None, **options):
    """A message that calls a task, as `apply_async` makes it."""
    message = app.amqp.as_task_v2("id-1", "tasks.add", args, kwargs or {}, root_id="id-0", origin="1@golden", **options)
    sent = on_the_wire(message.body, message.headers, **message.properties)
    expected = {"args": json.dumps(list(args)), "kwargs": json.dumps(kwargs or {}), **expected}
    return {**sent, "expected": expected}


def answer(state, result, traceback=None):
    """The answer of a worker."""
    if isinstance(result, Exception):
        result = app.backend.prepare_exception(result, "json")
    body = app.backend._to_result("id-1", state, result, traceback, None)
    return {**on_the_wire(body, {}, correlation_id="id-1"), "state": state}


class NoSuchFlag(Exception):
    pass


tasks = {
    "positional": task({}, args=(1, 2)),
    "keywords": task({}, kwargs={"a": 1, "b": 2}),
    "limits in whole seconds": task({"time_limit": 3.0, "soft_time_limit": 2.0}, args=(1, 2), time_limit=3, soft_time_limit=2),
    "a limit in parts of a second": task({"time_limit": 1.5}, args=(1, 2), time_limit=1.5),
    "eta": task({"eta": THEN.isoformat()}, args=(1, 2), eta=THEN),
    "expires": task({"expires": THEN.isoformat()}, args=(1, 2), expires=THEN),
    "second try": task({"retries": 1}, args=(1, 2), retries=1),
    "in a group": task({"group": "group-1"}, args=(1, 2), group_id="group-1", group_index=0),
    "in a chain": task({"chain": 1, "callbacks": 1}, args=(1, 2), chain=[add.s(3)], callbacks=[add.s(4)]),
    "shadow": task({"shadow": "a sum"}, args=(1, 2), shadow="a sum"),
    "no result wanted": task({"ignore_result": True}, args=(1, 2), ignore_result=True),
    "with an answer": task({"reply_to": "replies"}, args=(1, 2), reply_to="replies"),
}
answers = {
    "started": answer("STARTED", {"pid": 7, "hostname": "celery@golden"}),
    "success": answer("SUCCESS", [1, "a", None, b"\x00\xff"]),
    "failure": answer("FAILURE", NoSuchFlag("no such flag", 7), "Traceback (most recent call last):"),
    "builtin failure": answer("FAILURE", ValueError("no such flag"), "Traceback (most recent call last):"),
    "not registered": answer("FAILURE", celery.exceptions.NotRegistered("tasks.no")),
    "time limit": answer("FAILURE", celery.exceptions.TimeLimitExceeded(3)),
    "worker lost": answer("FAILURE", __import__("billiard").exceptions.WorkerLostError("Worker exited prematurely")),
    "revoked": answer("REVOKED", celery.exceptions.TaskRevokedError("terminated")),
    "retry": answer("RETRY", celery.exceptions.Retry(exc=ValueError("no such flag"), when=THEN)),
}
json.dump({"celery": celery.__version__, "tasks": tasks, "answers": answers}, sys.stdout, indent=1)
print()
