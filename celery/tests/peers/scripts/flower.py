"""Checks what the API of Flower shows of a worker in Rust."""
import json
import os
import socket
import subprocess
import urllib.request

from tasks import app

queue, name = os.environ["QUEUE"], os.environ["NAME"]

with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
command = [os.environ["CELERY"], "-A", "tasks", "flower", f"--port={port}", "--address=127.0.0.1"]
environment = dict(os.environ, FLOWER_UNAUTHENTICATED_API="true", PYTHONUNBUFFERED="1")
flower = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def get(path):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as response:
        return response.read().decode()


try:
    said = []
    for line in flower.stderr:
        said.append(line)
        # When it is connected, Flower has asked all workers for their events.
        if "Connected to" in line:
            break
    else:
        raise AssertionError("".join(said))
    worker = json.loads(get(f"/api/workers?refresh=1&workername={name}"))[name]
    assert [found["name"] for found in worker["active_queues"]] == [queue], worker
    assert "tests.sum_to" in worker["registered"] and worker["stats"]["pool"]["max-concurrency"] == 2, worker
    assert "ok" in app.control.enable_events(reply=True, destination=[name], timeout=10)[0][name]
    good = app.send_task("tests.sum_to", (3,), queue=queue)
    bad = app.send_task("tests.parse", ("x",), queue=queue)
    assert good.get(timeout=60) == 6

    def state(result):
        tasks = json.loads(get("/api/tasks"))
        return tasks.get(result.id, {}).get("state")

    # Flower receives the events a little later than the client its answers.
    while (state(good), state(bad)) != ("SUCCESS", "FAILURE"):
        pass
    task = json.loads(get(f"/api/task/info/{good.id}"))
    assert (task["name"], task["result"], task["runtime"] >= 0) == ("tests.sum_to", "6", True), task
    metrics = get("/metrics")
    assert f'flower_events_total{{task="tests.sum_to",type="task-succeeded",worker="{name}"}}' in metrics, metrics
    assert f'flower_worker_online{{worker="{name}"}} 1.0' in metrics, metrics
finally:
    flower.kill()
    flower.wait()
