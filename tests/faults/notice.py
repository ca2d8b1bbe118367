"""A machine of a training is to be taken away: it keeps its step in time and goes on elsewhere.

Run as a program: two raylets of two CPUs beside a head without any, in one process tree. The
notice is Ray's own drain, as a cloud's agent gives it.
"""

import json
import os
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path

from cluster.session import parse_address, prepare
from tests.faults import watched

STEPS = 200
POLL_S = "0.5"
LEFT_S = 40  # until the machine goes


def main(place: Path) -> None:
    """Train through one notice and print what was seen."""
    os.environ[watched.FOLDER] = str(place)
    os.environ["RAY_TRAIN_PREEMPTION_POLL_INTERVAL_S"] = POLL_S
    os.environ["RAY_TRAIN_ENABLE_PREEMPTION_WATCHER"] = "1"  # as on a cluster
    own = tempfile.mkdtemp(prefix="vn", dir="/tmp")
    os.environ["RAY_TMPDIR"] = own  # where Ray notes its address: not where others look for theirs
    prepare(parse_address("local"))  # all else private: loopback only, and a token
    import ray
    from ray.cluster_utils import Cluster

    from tests.faults import worker

    watched.clear(place, None)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    for _ in range(2):
        cluster.add_node(num_cpus=2)
    ray.init(address=cluster.address, log_to_driver=False)
    drainer = threading.Thread(target=_drain, args=(place,))
    drainer.start()
    worker.STEPS, worker.EVERY = STEPS, 100_000
    wanted = worker.graph(place, world=2, local=False)
    outcome, events = worker.run(wanted, store=place / "store", executor="ray")
    drainer.join()
    node = outcome.nodes["stage1"]
    print(json.dumps({
        "code": outcome.code,
        "error": node.error.text if node.error else "",
        "retries": [e["why"] for e in events if e["event"] == "retry"],
        "resumed_at": node.notes.get("resumed_at"),
        "notices": [e["notice"] for e in watched.effects(place) if "notice" in e],
        "starts": [e["start"] for e in watched.effects(place) if "start" in e],
    }))  # fmt: skip
    ray.shutdown()
    cluster.shutdown()
    shutil.rmtree(own, ignore_errors=True)


def _drain(place: Path) -> None:
    """Give notice to the machine of rank 0 once both ranks have done some steps."""
    from ray._private import worker
    from ray.core.generated import autoscaler_pb2

    until = time.monotonic() + 200
    while time.monotonic() < until:
        steps = [line for line in watched.effects(place) if line.get("step", 0) >= 10]
        if {line["rank"] for line in steps} == {0, 1}:
            break
        time.sleep(0.1)
    machine = next(line["machine"] for line in watched.effects(place) if "machine" in line)
    accepted, _ = worker.global_worker.gcs_client.drain_node(
        machine,
        autoscaler_pb2.DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION"),
        "taken away",
        int((time.time() + LEFT_S) * 1000),
    )
    watched.note(notice=accepted)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
