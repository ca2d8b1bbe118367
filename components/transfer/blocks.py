"""Rows of an export, a block at a time: the bits of one depend on no other, nor on their number.

A matrix product may add up the channels of one row in another order than those of the row beside
it: libraries have kernels of their own for what is left over at an edge. So every block has the
same shape, and every row a place in its block that follows from its own bits. All that is asked
of the library is that it gives equal bits for equal shapes, with as many threads.
Shapes: M classes, S shared with the boxes, B places of a block, D channels in, G out.
"""

import zlib
from collections.abc import Callable, Iterator
from itertools import zip_longest

import torch
from torch import Tensor

from components.transfer.source import SourceError

BLOCK = 64  # places; those that no row takes hold zeros


def in_blocks(
    made: Callable[[Tensor, Tensor], Tensor], source_MD: Tensor, *, same_M: Tensor, outputs: int
) -> Tensor:
    """Return rows [M, G] made of source rows.

    Args:
        made: source rows [B, D] and which shared class each is [B] -> rows [B, G]; each of its
            own source row alone.
        source_MD: source rows; a row that is there twice is made once.
        same_M: int64, which shared class each one is, or -1.
        outputs: G.
    """
    first, again_M = _distinct(source_MD, same_M)
    found = torch.empty(len(first), outputs, dtype=source_MD.dtype, device=source_MD.device)
    for at, places in _blocks(source_MD, first):
        rows = [first[i] for i in at]
        raw_BD = source_MD.new_zeros(BLOCK, source_MD.shape[1])
        same_B = same_M.new_full((BLOCK,), -1)
        raw_BD[places], same_B[places] = source_MD[rows], same_M[rows]
        found[at] = made(raw_BD, same_B)[places].to(found)
    return found if len(first) == len(source_MD) else found[again_M]


def same_rows(source_MD: Tensor, shared_SD: Tensor, *, where: str) -> Tensor:
    """Return int64 [M]: the shared class whose source row is equal, bit for bit, or -1.

    Raises:
        SourceError: two shared classes have that row.
    """
    known: dict[bytes, list[int]] = {}
    for i, row in enumerate(shared_SD.cpu().numpy()):
        known.setdefault(row.tobytes(), []).append(i)
    found = [known.get(row.tobytes(), [-1]) for row in source_MD.detach().cpu().numpy()]
    if twins := [i for i, several in enumerate(found) if len(several) > 1]:
        raise SourceError(
            f"{where}: which shared class each row is of, where two have one source row; got "
            f"{len(twins)} rows of such classes, first at {twins[0]}. Give `shared_M`."
        )
    return torch.tensor([one[0] for one in found], dtype=torch.int64)


def _distinct(source_MD: Tensor, same_M: Tensor) -> tuple[list[int], list[int]]:
    """Return where each distinct row is first, and which of them each row is."""
    seen: dict[tuple[bytes, int], int] = {}
    first: list[int] = []
    again: list[int] = []
    rows = zip(source_MD.detach().cpu().numpy(), same_M.tolist(), strict=True)
    for i, (row, same) in enumerate(rows):
        key = (row.tobytes(), same)
        if key not in seen:
            seen[key] = len(first)
            first.append(i)
        again.append(seen[key])
    return first, again


def _blocks(source_MD: Tensor, first: list[int]) -> Iterator[tuple[list[int], list[int]]]:
    """Yield the rows of each block and their places; a row's place follows from its bits."""
    queues: list[list[int]] = [[] for _ in range(BLOCK)]
    raw = source_MD.detach().cpu().numpy()
    for i, at in enumerate(first):
        queues[zlib.crc32(raw[at].tobytes()) % BLOCK].append(i)
    for block in zip_longest(*queues):
        taken = [(i, place) for place, i in enumerate(block) if i is not None]
        yield [i for i, _ in taken], [place for _, place in taken]
