"""Chains, groups and links whose tasks are in Rust and in Python."""
import os

from celery import chain, group, signature

from tasks import app

rust, python = os.environ["QUEUE"], os.environ["PYTHON"]


def in_rust(name, *args, **options):
    return signature(name, args=args, app=app, queue=rust, **options)


def in_python(name, *args, **options):
    return signature(name, args=args, app=app, queue=python, **options)


# Python, Rust, Python, Rust.
steps = chain(
    in_python("tasks.add", 1, 2), in_rust("tests.sum_to"), in_python("tasks.add", 4), in_rust("tests.product", 2)
)
assert steps.apply_async().get(timeout=60) == (6 + 4) * 2

# One that does not want the result, and a group.
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

# What is called after success, and after failure: here tasks that answer.
linked = in_python("tasks.add", 10)
frozen = linked.freeze()
assert in_rust("tests.sum_to", 3).apply_async(link=linked).get(timeout=60) == 6
assert frozen.get(timeout=60) == 16

told = in_rust("tests.length")
frozen = told.freeze()
failing = in_rust("tests.parse", "x").apply_async(link_error=told)
assert frozen.get(timeout=60) == len(failing.id)

# `xmap`, as Celery has it: functions of the client.
assert in_rust("tests.sum_to", 4).delay().get(timeout=60) == 10
