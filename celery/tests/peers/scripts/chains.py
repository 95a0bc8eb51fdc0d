"""Runs chains, groups and links whose tasks are in Rust and in Python."""
import os

from celery import chain, group, signature

from tasks import app

rust, python = os.environ["QUEUE"], os.environ["PYTHON"]


def in_rust(name, *args, **options):
    return signature(name, args=args, app=app, queue=rust, **options)


def in_python(name, *args, **options):
    return signature(name, args=args, app=app, queue=python, **options)


# The steps alternate between Python and Rust.
steps = chain(
    in_python("tasks.add", 1, 2), in_rust("tests.sum_to"), in_python("tasks.add", 4), in_rust("tests.product", 2)
)
assert steps.apply_async().get(timeout=60) == (6 + 4) * 2

# An immutable step does not get the result of the one before it. A group runs as a whole.
steps = chain(in_rust("tests.sum_to", 3), in_rust("tests.product", 2, 5, immutable=True))
assert steps.apply_async().get(timeout=60) == 10
assert group(in_rust("tests.sum_to", n) for n in range(4)).apply_async().get(timeout=60) == [0, 1, 3, 6]

# A failure ends the chain.
result = chain(in_rust("tests.parse", "x"), in_rust("tests.sum_to")).apply_async()
try:
    result.parent.get(timeout=60)
    raise AssertionError("it has not failed")
except Exception as error:
    assert type(error).__name__ == "ParseIntError", repr(error)

# Callbacks are called after success, and errbacks after failure. Here both are tasks that answer.
linked = in_python("tasks.add", 10)
frozen = linked.freeze()
assert in_rust("tests.sum_to", 3).apply_async(link=linked).get(timeout=60) == 6
assert frozen.get(timeout=60) == 16

told = in_rust("tests.length")
frozen = told.freeze()
failing = in_rust("tests.parse", "x").apply_async(link_error=told)
assert frozen.get(timeout=60) == len(failing.id)

# One message makes many calls. A client makes such messages of tasks that it knows only by name.
one = {"task": "tests.product", "args": [], "kwargs": {}, "options": {}}
star = signature("celery.starmap", kwargs={"task": one, "it": [(1, 2), (3, 4)]}, app=app, queue=rust)
assert star.apply_async().get(timeout=60) == [2, 12]
each = signature("celery.map", kwargs={"task": {"task": "tests.sum_to"}, "it": [1, 2, 3]}, app=app, queue=rust)
assert each.apply_async().get(timeout=60) == [1, 3, 6]


# It makes chunks of tasks that it has itself.
@app.task(name="tests.product")
def product(a, b):
    raise AssertionError("it runs in Rust")


app.conf.task_routes = {"celery.starmap": {"queue": rust}, "tests.*": {"queue": rust}}
chunks = product.chunks(zip(range(10), range(10)), 4).apply_async(queue=rust)
assert sum(chunks.get(timeout=60), []) == [n * n for n in range(10)]
