"""Calls tasks of a worker in Rust."""
import os

from celery.exceptions import NotRegistered, WorkerLostError

from tasks import app


def call(name, *args, **options):
    return app.send_task(name, args, queue=os.environ["QUEUE"], **options)


def fails(result, kind, text=""):
    try:
        value = result.get(timeout=60)
    except Exception as error:
        assert type(error).__name__ == kind and text in str(error), repr(error)
        return error
    raise AssertionError(f"it has returned {value!r}")


assert call("tests.sum_to", 10_000).get(timeout=60) == 50_005_000
assert call("tests.product", 6, 7).get(timeout=60) == 42
assert call("tests.parse", "12").get(timeout=60) == 12
assert call("tests.nothing").get(timeout=60) is None
assert call("tests.resize", kwargs={"path": "a.png", "width": 3}).get(timeout=60) == "a.png to 3"
assert call("tests.resize", {"path": "a.png", "width": 3}).get(timeout=60) == "a.png to 3"

fails(call("tests.parse", "twelve"), "ParseIntError", "invalid digit found in string")
fails(call("tests.panic", "no more flags"), "Panicked", "no more flags")
assert isinstance(fails(call("tests.sum_to", "x"), "TypeError", "invalid type: string"), TypeError)
fails(call("tests.sum_to"), "TypeError", "0 positional arguments for a function of one")
fails(call("tests.nan", 1), "RuntimeError")
assert isinstance(fails(call("never.heard.of", 1), "NotRegistered"), NotRegistered)
assert isinstance(fails(call("tests.crash", 1), "WorkerLostError", "SIGABRT"), WorkerLostError)
assert call("tests.sum_to", 3).get(timeout=60) == 6, "the worker goes on"

# There may be more tasks than slots.
results = [call("tests.sum_to", n) for n in range(200)]
assert [result.get(timeout=60) for result in results] == [n * (n + 1) // 2 for n in range(200)]

# A client may want no answer.
call("tests.sum_to", 3, ignore_result=True)
