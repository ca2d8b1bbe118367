"""The child that opens a pickle of tensors: `python -m components.train.unpickle FILE OUT`.

This is the only place where a pickle is opened: with `weights_only=True`, so that none of its code
runs, in a process of its own with limited memory, and the parent ends it when it takes too long.
It writes OUT as .safetensors, and one JSON object on stdout: order of the names, class names if
the file has some, what was left out; or `error`.
"""

import json
import re
import resource
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

SPARE_BYTES = 2**30  # of memory, beside what the file's size allows
TIMES_SIZE = 4  # of the file: read, unpacked, copied, written
NESTS = ("state_dict", "model_state_dict", "model", "net", "module", "params", "weights")
CLASS_KEYS = ("classes", "class_names", "names", "labels")
WRAPPER = "module."  # that data-parallel training puts before every name


class _NotWeightsError(ValueError):
    """What is in the file is no mapping of tensors."""


def main(arguments: list[str]) -> int:
    """Convert one file; return an exit code: 0, or 2 with `error` on stdout."""
    source, out = Path(arguments[0]), Path(arguments[1])
    _limit(SPARE_BYTES + TIMES_SIZE * source.stat().st_size)
    try:
        with source.open("rb") as file:  # by its name torch would choose another reader
            found = torch.load(file, map_location="cpu", weights_only=True)  # noqa: TID251 (the door)
        tensors, about = _flat(found)
        save_file(tensors, out, metadata={"format": "pt"})
    except MemoryError:
        return _fail("it wants more memory than four times its size")
    except Exception as error:  # whatever a foreign file makes the reader raise
        return _fail(_in_words(error))
    print(json.dumps({"order": list(tensors), **about}))  # noqa: T201 (read by the parent)
    return 0


def _limit(more: int) -> None:
    """Allow this process `more` bytes beside the address space it has."""
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if _linux() else 0
    if pages:
        most = pages * resource.getpagesize() + more
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _linux() -> bool:
    return sys.platform == "linux"


def _flat(found: Any) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return tensors by name, and what else the file said."""
    nest = ""
    if isinstance(found, Mapping) and not _tensors(found):
        nest = next((n for n in NESTS if isinstance(found.get(n), Mapping)), "")
    inner = found[nest] if nest else found
    tensors = _tensors(inner) if isinstance(inner, Mapping) else {}
    if not tensors:
        raise _NotWeightsError(f"no mapping of names to tensors but {type(inner).__name__}")
    left = [str(k) for k in inner if not isinstance(inner[k], Tensor)]
    left += [str(k) for k in found if nest and k != nest]
    if all(name.startswith(WRAPPER) for name in tensors):
        tensors = {name.removeprefix(WRAPPER): tensor for name, tensor in tensors.items()}
    whole = {name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}
    return whole, {"nest": nest, "left_out": sorted(left), "classes": _classes(found)}


def _tensors(found: Mapping[Any, Any]) -> dict[str, Tensor]:
    return {str(name): value for name, value in found.items() if isinstance(value, Tensor)}


def _classes(found: Any) -> list[str] | None:
    """Return class names that the file itself carries, in the order of rows."""
    for key in CLASS_KEYS if isinstance(found, Mapping) else ():
        names = found.get(key)
        if isinstance(names, Mapping) and all(isinstance(k, int) for k in names):
            names = [names[k] for k in sorted(names)]
        if isinstance(names, list | tuple) and names and all(isinstance(n, str) for n in names):
            return list(names)
    return None


def _in_words(error: Exception) -> str:
    """Say what is wrong with the file in one line."""
    if isinstance(error, _NotWeightsError):
        return str(error)
    said = " ".join(str(error).split())
    if "allocate memory" in said or "not enough memory" in said:
        return "it wants more memory than four times its size"
    if code := re.search(r"GLOBAL ([\w.]+)", said):
        return f"it holds more than tensors ({code[1]}), and nothing of it was run"
    if odd := re.search(r"WeightsUnpickler error: (.{1,100}?)(?: Please| Check|$)", said):
        return f"PyTorch's safe reader does not read it ({odd[1]}), and nothing of it was run"
    if "zip archive" in said or isinstance(error, EOFError):
        return "it is cut or damaged"
    return f"{type(error).__name__}, {said.partition('. ')[0][:200] or 'no words'}"


def _fail(text: str) -> int:
    print(json.dumps({"error": text}))  # noqa: T201 (read by the parent)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
