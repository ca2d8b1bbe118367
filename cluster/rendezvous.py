"""How the workers of a group on one machine meet: through a file, so that no port is opened.

Torch's own meeting place listens on every interface, whatever address it is given.
"""

import contextlib
import os
import sys
import uuid
from collections.abc import Generator
from datetime import timedelta
from pathlib import Path

THREAD_SETTINGS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


def meeting_url(folder: Path) -> str:
    """Name a file in a folder that exists, for one attempt of one group."""
    return f"file://{folder.resolve()}/meet-{uuid.uuid4().hex}"


def join(*, backend: str, url: str, rank: int, world: int, seconds: float = 1800) -> None:
    """Make this process rank `rank` of `world`; gloo and nccl then talk over loopback only."""
    import torch.distributed as dist

    if sys.platform == "linux":
        os.environ["GLOO_SOCKET_IFNAME"] = "lo"
        os.environ["NCCL_SOCKET_IFNAME"] = "lo"
    dist.init_process_group(
        backend=backend,
        init_method=url,
        rank=rank,
        world_size=world,
        timeout=timedelta(seconds=seconds),
    )


def part() -> None:
    """Leave the process group, if there is one."""
    import torch.distributed as dist

    if dist.is_initialized():
        dist.destroy_process_group()


@contextlib.contextmanager
def pinned(threads: int) -> Generator[None]:
    """Compute with this many threads: the order of sums, hence the last bits, depends on it."""
    before = {name: os.environ.get(name) for name in THREAD_SETTINGS}
    os.environ.update(dict.fromkeys(THREAD_SETTINGS, str(threads)))
    torch = sys.modules.get("torch")
    used = torch.get_num_threads() if torch else None
    if torch:
        torch.set_num_threads(threads)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        if torch:
            torch.set_num_threads(used)
