"""The wide graph in Prefect: tasks in threads, results kept, its own local server.

Run by the Python of an environment that has Prefect: PYTHON rival_prefect.py HOME NODES.
"""

import json
import os
import sys
import time

os.environ["PREFECT_HOME"] = sys.argv[1]
os.environ["PREFECT_RESULTS_PERSIST_BY_DEFAULT"] = "true"
os.environ["PREFECT_LOGGING_LEVEL"] = "CRITICAL"

from prefect import flow, task  # its settings are read at import


@task
def first() -> int:
    return 1


@task
def made(above: int, number: int) -> int:
    return above + number


@flow
def wide(count: int) -> int:
    above = first()
    return sum(future.result() for future in [made.submit(above, i) for i in range(1, count)])


def main() -> None:
    wide(3)  # starts its server
    begun = time.perf_counter()
    wide(int(sys.argv[2]))
    print(json.dumps({"seconds": time.perf_counter() - begun}))


if __name__ == "__main__":
    main()
