"""The order of samples: a pure function of (seed, epoch, position).

World size, workers and time do not occur in it, so a reader's whole state is one number, the step.
Storage order is cut into blocks that are read together; blocks are permuted an epoch; lane l of L
reads every L-th block; within a lane a few blocks at a time are mixed. Position p is place p // L
of lane p % L. What does not fill L whole blocks is dealt sample by sample at the end.
"""

from dataclasses import dataclass, field

import numpy as np

BLOCK, WINDOW = 64, 4  # rows a block, blocks mixed together


def generator(*key: int) -> np.random.Generator:
    """Return the generator of a key; equal keys give equal draws, wherever they are made."""
    return np.random.Generator(np.random.PCG64([part % 2**64 for part in key]))


@dataclass(frozen=True, slots=True)
class _Epoch:
    blocks: np.ndarray  # permuted; the first `lanes * per_lane` are dealt whole
    per_lane: int  # whole blocks of each lane
    tail: np.ndarray  # rows dealt one by one, shuffled


@dataclass(kw_only=True, slots=True)
class Order:
    """The order of `rows` samples; keeps one epoch and a few windows, which it can make anew."""

    rows: int
    lanes: int  # usually the samples of one step
    seed: int
    block: int = BLOCK
    window: int = WINDOW
    _epochs: dict[int, _Epoch] = field(default_factory=dict[int, _Epoch])
    _mixed: dict[tuple[int, int, int], np.ndarray] = field(
        default_factory=dict[tuple[int, int, int], np.ndarray]
    )

    def at(self, positions: np.ndarray) -> np.ndarray:
        """Return the rows int64 [n] at absolute positions int64 [n]; epochs follow each other."""
        epochs = positions // self.rows
        out = np.empty(len(positions), np.int64)
        for epoch in np.unique(epochs).tolist():
            here = epochs == epoch
            out[here] = self._within(epoch, positions[here] - epoch * self.rows)
        return out

    def _within(self, epoch: int, places: np.ndarray) -> np.ndarray:
        plan = self._plan(epoch)
        whole = plan.per_lane * self.block * self.lanes
        out = np.empty(len(places), np.int64)
        late = places >= whole
        out[late] = plan.tail[places[late] - whole]
        for i in np.flatnonzero(~late).tolist():
            lane, place = int(places[i] % self.lanes), int(places[i] // self.lanes)
            window, inside = divmod(place, self.block * self.window)
            out[i] = self._mix(epoch, lane, window)[inside]
        return out

    def _plan(self, epoch: int) -> _Epoch:
        if epoch not in self._epochs:
            count, ragged = -(-self.rows // self.block), self.rows % self.block
            blocks = generator(self.seed, epoch, 0).permutation(count)
            if ragged:  # the short block is dealt one by one
                short = count - 1
                blocks = np.concatenate([blocks[blocks != short], [short]])
            per_lane = self.rows // self.block // self.lanes
            first = per_lane * self.lanes
            left = [np.arange(b * self.block, min((b + 1) * self.block, self.rows))
                    for b in blocks[first:].tolist()]  # fmt: skip
            tail = np.concatenate([*left, np.zeros(0, np.int64)]).astype(np.int64)
            generator(self.seed, epoch, 1).shuffle(tail)
            self._epochs = {epoch: _Epoch(blocks[:first], per_lane, tail)}
            self._mixed.clear()
        return self._epochs[epoch]

    def _mix(self, epoch: int, lane: int, window: int) -> np.ndarray:
        key = (epoch, lane, window)
        if key not in self._mixed:
            if len(self._mixed) > 4 * self.lanes:
                self._mixed.clear()
            own = self._plan(epoch).blocks[lane :: self.lanes]
            blocks = own[window * self.window : (window + 1) * self.window]
            rows = (blocks[:, None] * self.block + np.arange(self.block)).ravel()
            generator(self.seed, epoch, 2, lane, window).shuffle(rows)
            self._mixed[key] = rows
        return self._mixed[key]
