"""Tells a worker to shut down, and returns when it has been told."""
import os

from tasks import app

name = os.environ["NAME"]
app.control.shutdown(destination=[name])
# Orders are obeyed in order: an answer to this one means that the other was read.
app.control.ping(destination=[name], timeout=10)
