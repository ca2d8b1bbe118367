"""The wide graph in Dagster: in-process executor, its own database, files for what ops return.

Run by the Python of an environment that has Dagster: PYTHON rival_dagster.py HOME NODES.
"""

import json
import sys
import time

from dagster import DagsterInstance, In, job, op


def _op(number: int):
    @op(name=f"n{number}", ins={"first": In(int)})
    def made(first):
        return first + number

    return made


@op(name="first")
def first():
    return 1


def main() -> None:
    rest = [_op(number) for number in range(1, int(sys.argv[2]))]

    @job(name="wide")
    def wide():
        above = first()
        for made in rest:
            made(above)

    with DagsterInstance.get() as instance:
        begun = time.perf_counter()
        done = wide.execute_in_process(instance=instance)
        seconds = time.perf_counter() - begun
    print(json.dumps({"seconds": seconds, "nodes": len(done.get_step_success_events())}))


main()
