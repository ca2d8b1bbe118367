"""Reading source."""

import gc
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pipelines.graph import source_text

FILES = sorted(Path(source_text.__file__).parent.glob("*.py"))


def _read_all(round_: int) -> int:
    """Parse files anew: the same bytes are kept by their name."""
    names = [f"round{round_}.{path.stem}" for path in FILES]
    return len(
        [source_text.parse(n, p, is_package=False) for n, p in zip(names, FILES, strict=True)]
    )


def _switch(*_: object) -> None:
    """Let another thread go on while garbage is collected, wherever that comes."""
    time.sleep(0)


def test_threads_may_read_source_at_once() -> None:
    usual = gc.get_threshold()
    gc.callbacks.append(_switch)
    gc.set_threshold(100)
    try:
        with ThreadPoolExecutor(4) as pool:
            assert set(pool.map(_read_all, range(4))) == {len(FILES)}
    finally:
        gc.set_threshold(*usual)
        gc.callbacks.remove(_switch)
