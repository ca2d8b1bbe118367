"""The table of decisions, row by row."""

import errno
import pickle

import pytest

from cluster.failures import EXIT, POLICIES, Budget, Fail, Failure, Retry, decide, failure_of
from cluster.session import SessionError
from cluster.storage import DamagedError, StorageError
from components.models.two_stage import NoTrunkFeatureError
from components.train.checkpoint import ModelError
from components.train.weights_file import DamagedError as DamagedWeights
from components.train.weights_file import WeightsError
from components.transfer.source import SourceError
from components.vocab.classes import VocabularyError

ROWS = [  # kind, attempt, what is decided
    ("lost", 1, Retry(1.0)),
    ("lost", 2, Retry(4.0)),
    ("lost", 3, 7),
    ("cut_off", 2, Retry(4.0)),
    ("cut_off", 3, 7),
    ("no_room", 1, 7),
    ("used_up", 1, 7),
    ("preempted", 20, Retry(0.0)),
    ("preempted", 21, 7),
    ("memory", 1, Retry(1.0, alone=True)),
    ("memory", 2, 7),
    ("machine_full", 60, Retry(10.0, counted=False)),
    ("machine_full", 61, 7),
    ("slow_store", 5, Retry(32.0)),
    ("slow_store", 6, 4),
    ("storage", 1, 4),
    ("damaged", 1, 3),
    ("user", 1, 1),
    ("bad_input", 1, 2),
    ("owned", 1, 5),
    ("numerical", 1, 6),
    ("other_code", 1, 7),
    ("session", 1, 7),
    ("cancelled", 1, 130),
    ("unknown", 1, Retry(1.0)),
    ("unknown", 2, 7),
]


@pytest.mark.parametrize(("kind", "attempt", "wanted"), ROWS)
def test_a_row_of_the_table(kind: str, attempt: int, wanted: Retry | int) -> None:
    failure = Failure(kind, "train", "It broke.")
    got = decide(failure, attempt=attempt, policy=Budget())
    if isinstance(wanted, int):
        assert isinstance(got, Fail)
        assert got.code == wanted
        assert "It broke." in got.why
    else:
        assert got == wanted


def test_every_row_is_tested_and_every_code_is_known() -> None:
    assert {row[0] for row in ROWS} == set(POLICIES)
    assert len(set(EXIT.values())) == len(EXIT)


def test_retries_are_the_nodes_own() -> None:
    failure = Failure("lost", "train", "It broke.")
    assert isinstance(decide(failure, attempt=1, policy=Budget(retries=0)), Fail)
    assert decide(failure, attempt=5, policy=Budget(retries=9)) == Retry(256.0)


def test_a_kind_nobody_knows_is_tried_once_more() -> None:
    failure = Failure("new", "train", "It broke.")
    assert decide(failure, attempt=1, policy=Budget()) == Retry(1.0)


FULL = "cannot be read or written; got 'No space left on device"


class NotFinite(ValueError):
    """Named as the one in the training loop."""


class OfData(NotFinite):
    """A class below it."""


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (ValueError("bad"), "user", "ValueError: bad"),
        (KeyError("a"), "user", "KeyError: 'a'"),
        (RuntimeError(), "user", "RuntimeError: RuntimeError"),
        (OfData("loss is nan"), "numerical", "loss is nan"),
        (OSError(errno.ENOSPC, "No space"), "storage", f"store: a file of train {FULL}"),
        (OSError(errno.ENOSPC, "No space", "/s/x"), "storage", f"store: /s/x {FULL}"),
        (OSError(errno.ENOENT, "No such file"), "user", "FileNotFoundError: [Errno 2] No such"),
        (StorageError(errno.EACCES, "x"), "storage", "x"),
        (RuntimeError("No space (os error 28). Ask"), "storage", f"store: a file of train {FULL}"),
        (RuntimeError("I/O error: no such file (os error 2)"), "user", "RuntimeError: I/O error"),
        (DamagedError("torn"), "damaged", "torn"),
        (SourceError("rows: other"), "bad_input", "rows: other"),
        (VocabularyError("a.txt: no class"), "bad_input", "a.txt: no class"),
        (WeightsError("a.pth: a pickle"), "bad_input", "a.pth: a pickle"),
        (NoTrunkFeatureError("backbone: small"), "bad_input", "backbone: small"),
        (ModelError("m: no model.json"), "bad_input", "m: no model.json"),
        (DamagedWeights("m: changed"), "damaged", "m: changed"),
        (WeightsError("No space (os error 28)"), "storage", f"store: a file of train {FULL}"),
        (MemoryError(), "memory", "MemoryError"),
        (SessionError("address: silent"), "session", "address: silent"),
        (KeyboardInterrupt(), "cancelled", "KeyboardInterrupt"),
    ],
)
def test_an_error_becomes_a_plain_value(error: BaseException, kind: str, text: str) -> None:
    try:
        raise error
    except BaseException as caught:
        failure = failure_of(caught, where="train")
    assert (failure.kind, failure.where) == (kind, "train")
    assert failure.text.startswith(text)
    assert "test_failures.py" in failure.traceback
    assert pickle.loads(pickle.dumps(failure)) == failure  # noqa: TID251
