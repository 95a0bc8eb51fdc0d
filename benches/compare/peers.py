"""Workloads on Python's executors: a line of `executor workload times` in, a line with a figure out.

A figure is the number of seconds that the work took, unless the workload says otherwise. If a workload cannot run
here, the line says why.
"""

import sys
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

WORKERS = 2


def successor(n):
    return n + 1


def same(data):
    return data


def private_bytes(_):
    """Return how much memory belongs to this process alone."""
    with open("/proc/self/smaps_rollup") as lines:
        return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))


def submit(executor, times):
    futures = [executor.submit(successor, n) for n in range(times)]
    for future in futures:
        future.result()


def round_trip(executor, times):
    for n in range(times):
        executor.submit(successor, n).result()


def map_(executor, times):
    for _ in executor.map(successor, range(times)):
        pass


def map_chunks(executor, times):
    for _ in executor.map(successor, range(times), chunksize=1000):
        pass


def there_and_back(megabytes):
    data = bytes([7]) * (megabytes * 1_000_000)

    def run(executor, times):
        for _ in range(times):
            executor.submit(same, data).result()

    return run


WORKLOADS = {
    "submit": submit,
    "round_trip": round_trip,
    "map": map_,
    "map_chunks": map_chunks,
    "bytes_1": there_and_back(1),
    "bytes_16": there_and_back(16),
    "bytes_64": there_and_back(64),
}
KINDS = {"threads": ThreadPoolExecutor, "processes": ProcessPoolExecutor}


def timed(work, *arguments):
    start = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - start


def fresh(kind, times):
    """Time the first result of each of that many new executors. The end of an executor is not measured."""
    total = 0
    for _ in range(times):
        start = time.perf_counter()
        executor = KINDS[kind](WORKERS)
        executor.submit(successor, 1).result()
        total += time.perf_counter() - start
        executor.shutdown()
    return total


def figure(executors, kind, workload, times):
    if workload == "fresh":
        return fresh(kind, times)
    if kind not in executors:
        executors[kind] = KINDS[kind](WORKERS)
    executor = executors[kind]
    if workload == "private":
        return executor.submit(private_bytes, None).result()
    return timed(WORKLOADS[workload], executor, times)


def main():
    executors = {}
    for line in sys.stdin:
        kind, workload, times = line.split()
        try:
            print(figure(executors, kind, workload, int(times)), flush=True)
        except OSError as error:
            print("cannot:", error, flush=True)
    for executor in executors.values():
        executor.shutdown()


if __name__ == "__main__":
    main()
