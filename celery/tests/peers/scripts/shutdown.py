"""Tells a worker to shut down, and returns when the worker has read the command."""
import os

from tasks import app

name = os.environ["NAME"]
app.control.shutdown(destination=[name])
# A worker executes commands in their order, so an answer to this one means that it has read the other.
app.control.ping(destination=[name], timeout=10)
