"""A group of child processes on this machine, without Ray: for debugging and for tests.

Children are forked where that is safe (torch is imported once, a group starts in a second). Where
this process has threads, such as Ray's, they are forked from a clean process that has imported
torch and nothing else; it is started with the first group, serves all later ones, and ends with
this process.
"""

import multiprocessing
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, cast

from cluster.failures import Failure
from cluster.ray_faults import GroupError, first, worker_error
from cluster.rendezvous import join, meeting_url, part, pinned
from cluster.workers import Group

WARM = ["torch", "torch._dynamo"]  # what every child would import, for 3 s of CPU
SETTLE_S = 1.0  # after a first error: who died, and who only lost its neighbour
LOOK_S = 0.2  # between two looks at `asked`
Message = tuple[str, Any]  # ("say", (values, metrics)) | ("note", text) | ("done", value) | ...
Said = Callable[..., None]


def run_processes(
    job: dict[str, Any],
    *,
    scratch: Path,
    name: str,
    say: Said,
    note: Said,
    asked: Callable[[], bool],
) -> Any:
    """Run `job` in one process a rank and return rank 0's value; raise GroupError."""
    context = _context()
    stop = context.Event()
    job = {
        **job,
        "url": meeting_url(scratch),
        "name": name,
        "stop": stop,
        "environ": dict(os.environ),
    }
    ends: list[Connection] = []
    children: list[BaseProcess] = []
    try:
        for rank in range(job["world"]):
            mine, theirs = context.Pipe(duplex=False)
            child = context.Process(target=_child, args=(job, rank, theirs), daemon=True)
            child.start()
            theirs.close()
            ends.append(mine)
            children.append(child)
        heard = {"say": lambda body: say(*body[0], **body[1]), "note": note}

        def look() -> None:
            if asked():
                stop.set()

        return _listen(ends, children, name=name, heard=heard, look=look)
    finally:
        _end(children)
        for end in ends:
            end.close()
        Path(job["url"].removeprefix("file://")).unlink(missing_ok=True)


def _context() -> Any:
    if _may_fork():
        return multiprocessing.get_context("fork")
    if sys.platform != "linux":  # elsewhere libraries of the system may not survive any fork
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(WARM)
    return context


def safe_to_fork() -> bool:
    """Say whether a child may begin as a copy of this process: it has no threads and no GPU."""
    if sys.platform != "linux" or threading.active_count() > 1 or "ray" in sys.modules:
        return False
    torch = sys.modules.get("torch")
    return torch is None or not torch.cuda.is_initialized()


def _may_fork() -> bool:
    if not safe_to_fork():
        return False
    import torch._dynamo  # noqa: F401  # pyright: ignore[reportUnusedImport] - each child would, for 1.3 s

    return True


def _listen(
    ends: list[Connection],
    children: list[BaseProcess],
    *,
    name: str,
    heard: Mapping[str, Said],
    look: Callable[[], None],
) -> Any:
    """Pass on what rank 0 says until all are done; stop at the first error."""
    open_ends = dict(zip(ends, range(len(ends)), strict=True))
    value: Any = None
    faults: list[tuple[float, Failure]] = []
    until = float("inf")
    while open_ends and time.monotonic() < until:
        look()
        for ready in wait(list(open_ends), timeout=LOOK_S):
            end = cast("Connection", ready)
            rank = open_ends[end]
            kind, body = _receive(end)
            if kind in heard:
                heard[kind](body)
                continue
            del open_ends[end]
            if kind == "done":
                value = body if rank == 0 else value
                continue
            children[rank].join(SETTLE_S)
            where = f"{name} rank {rank}"
            faults.append(body if kind == "failed" else (0.0, gone(children[rank], where)))
            until = min(until, time.monotonic() + SETTLE_S)
    if faults:
        raise GroupError(first(faults))
    return value


def _receive(end: Connection) -> Message:
    try:
        return end.recv()
    except (EOFError, ConnectionError):
        return "gone", None


def gone(child: BaseProcess, where: str) -> Failure:
    """Return the failure of a child that ended without a word."""
    code = child.exitcode
    how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
    return Failure("lost", where, f"{where}: a worker process died; got {how}.")


def _end(children: list[BaseProcess]) -> None:
    def _alive() -> Iterator[BaseProcess]:
        return (child for child in children if child.is_alive())

    for child in children:
        child.join(0.5 if child.exitcode is None else 0)
    for child in _alive():
        child.terminate()
    for child in children:
        child.join(2)
    for child in _alive():
        child.kill()
        child.join(5)


def _child(job: dict[str, Any], rank: int, end: Connection) -> None:
    """Be one rank: meet the others, run the function, send how it ended."""

    def _say(*values: Any, **metrics: Any) -> None:
        if rank == 0:
            end.send(("say", (values, metrics)))

    def _note(text: str) -> None:
        if rank == 0:
            end.send(("note", text))

    world: int = job["world"]
    group = Group(
        rank=rank, world=world, say=_say, note=_note, wrap=_wrap, share=_share,
        asked=job["stop"].is_set,
    )  # fmt: skip
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it too, and decides
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.environ.update(job["environ"])  # a child of the fork server has that of its first day
    try:
        with pinned(job["threads"]):
            join(backend=job["backend"], url=job["url"], rank=rank, world=world)
            value = job["fn"](job["arg"], group)
            part()
    except Exception as error:
        told = worker_error(error, where=f"{job['name']} rank {rank}")
        end.send(("failed", (told.at, told.failure)))
        end.close()
        os._exit(1)  # the group may be stuck in a collective that will never end
    end.send(("done", value if rank == 0 else None))
    end.close()


def _share(value: Any) -> Any:
    from torch.distributed import broadcast_object_list, get_backend, get_rank

    device = None
    if get_backend() == "nccl":
        import torch

        device = torch.device("cuda", get_rank() % torch.cuda.device_count())
    box = [value]
    broadcast_object_list(box, src=0, device=device)
    return box[0]


def _wrap(module: Any, **options: Any) -> Any:
    import torch
    from torch.distributed import get_backend, get_rank
    from torch.nn.parallel import DistributedDataParallel

    # 1 x 1 kernels have two names for one layout; torch warns of the copy, which costs nothing here
    warnings.filterwarnings("ignore", message="Grad strides do not match", category=UserWarning)
    if get_backend() == "nccl":
        device = torch.device("cuda", get_rank() % torch.cuda.device_count())
        torch.cuda.set_device(device)
        return DistributedDataParallel(module.to(device), device_ids=[device], **options)
    return DistributedDataParallel(module, **options)
