"""Following a job over a connection that is cut, and sending to a head that is not ready."""

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from cluster.jobs import Job, Jobs, parse_url
from cluster.parcel import Parcel
from cluster.session import SessionError
from pipelines.cli.following import code_of, follow, send, standing_line

RUN = "joint-0123456789ab"


class Client:
    """What Ray's client offers: a log that is cut twice, and jobs by their id."""

    def __init__(self) -> None:
        self.jobs: dict[str, str] = {}  # id -> status
        self.connections, self.refusals = 0, list[str]()

    async def tail_job_logs(self, job: str) -> AsyncIterator[str]:
        self.connections += 1
        for part in ("one\n", "two\nthr", "ee\n")[: self.connections]:
            yield part
        if self.connections < 3:
            raise RuntimeError("WebSocket connection closed unexpectedly with close code 1006")
        self.jobs[job] = "SUCCEEDED"

    def submit_job(self, *, submission_id: str, **_: Any) -> str:
        if self.refusals:
            raise RuntimeError(self.refusals.pop(0))
        if submission_id in self.jobs:
            raise RuntimeError(f"Job with submission_id {submission_id} already exists.")
        self.jobs[submission_id] = "RUNNING"
        return submission_id

    def list_jobs(self) -> list[Any]:
        return [
            SimpleNamespace(
                submission_id=name, metadata={"vocabox": name.rpartition("-")[0]}, status=status,
                driver_exit_code=None, start_time=1000, end_time=None, message="",
            )
            for name, status in self.jobs.items()
        ]  # fmt: skip


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> Jobs:
    monkeypatch.setattr("cluster.jobs.time.sleep", lambda _: None)
    return Jobs(Client(), "http://head:8265")


WHAT = SimpleNamespace(run=RUN, command="python", parcel=Parcel(files={}), store="s")


def test_a_cut_connection_says_nothing_twice(jobs: Jobs) -> None:
    jobs._client.jobs[f"{RUN}-1"] = "RUNNING"
    said: list[str] = []
    ended = jobs.follow(Job(run=RUN, attempt=1, status="running"), said.append)
    assert "".join(said) == "one\ntwo\nthree\n"
    assert (ended.status, jobs._client.connections) == ("done", 3)


def test_a_head_that_was_just_started_is_asked_again(jobs: Jobs) -> None:
    jobs._client.refusals = ["500: No available agent to submit job, please try again later."] * 3
    how: dict[str, Any] = {
        "attempt": 1,
        "command": "python",
        "parcel": Parcel(files={}),
        "about": {},
    }
    assert jobs.submit(RUN, **how)
    assert not jobs.submit(RUN, **how), "somebody else was first"
    jobs._client.refusals = ["500: the disk is full"]
    with pytest.raises(SessionError, match="failed to answer; got 500: the disk is full"):
        jobs.submit("joint-other", **how)


@pytest.mark.parametrize(
    ("status", "more", "said", "ids"),
    [
        (None, False, "sent to http://head:8265, attempt 1.", ["-1"]),
        ("RUNNING", False, "already running at", ["-1"]),
        ("SUCCEEDED", False, "already done at", ["-1"]),
        ("SUCCEEDED", True, "sent to http://head:8265, attempt 2.", ["-1", "-2"]),
        ("FAILED", False, "sent to http://head:8265, attempt 2.", ["-1", "-2"]),
        ("STOPPED", False, "sent to http://head:8265, attempt 2.", ["-1", "-2"]),
    ],
)
def test_a_run_is_sent_where_it_is_not_there(
    jobs: Jobs, status: str | None, more: bool, said: str, ids: list[str]
) -> None:
    if status:
        jobs._client.jobs[f"{RUN}-1"] = status
    lines: list[str] = []
    assert send(jobs, WHAT, again=more, say=lines.append) == 0
    assert said in lines[0]
    assert list(jobs._client.jobs) == [RUN + end for end in ids]


def test_ctrl_c_leaves_the_job_and_says_how_to_go_on(
    jobs: Jobs, capsys: pytest.CaptureFixture[str]
) -> None:
    def pressed(*_: Any) -> Job:
        raise KeyboardInterrupt

    job = Job(run=RUN, attempt=1, status="running")
    there = SimpleNamespace(follow=pressed, url=jobs.url)
    assert follow(there, job) == 130
    told = capsys.readouterr().err
    for word in ("status", "logs", "stop"):
        assert f"vocabox {word} {RUN} --address http://head:8265" in told


def test_the_exit_code_is_the_drivers() -> None:
    def ended(status: Any, code: int | None = None) -> Job:
        return Job(run=RUN, attempt=2, status=status, code=code, started=10, ended=75)

    assert code_of(ended("done", 0)) == 0
    assert code_of(ended("failed", 7)) == 7
    assert code_of(ended("failed")) == 1
    assert code_of(ended("stopped")) == 75
    assert standing_line(ended("failed", 7)) == (
        f"{RUN}: failed after 1 min 05 s, exit code 7; attempt 2."
    )


def test_an_address_is_written_in_one_way() -> None:
    assert parse_url("http://head") == "http://head:8265"
    assert parse_url("https://head/") == "https://head:443"
    assert parse_url("http://[::1]:80") == "http://[::1]:80"
