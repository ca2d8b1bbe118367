"""How long a node is expected to take, from records of earlier ones."""

from typing import Any

from pipelines.graph.estimate import Estimate, estimate
from pipelines.graph.reasons import Past
from pipelines.graph.record import Record


def _took(seconds: float, settings: Any, started: float, **notes: Any) -> Record:
    body = {"fn": "m:f", "settings": settings, "seconds": seconds, "notes": notes}
    return Record({**body, "started": started})


def test_steps_scale_what_training_took_and_nothing_else_is_scaled() -> None:
    def expected(*records: Record, fn: str = "m:f", steps: int = 300) -> Estimate | None:
        settings = {"kind": "X", "stage": {"steps": steps, "warmup": 5}}
        return estimate(Past(records), fn=fn, settings=settings)

    short = {"stage": {"steps": 5}}
    five = _took(2.0, short, 9, units={"steps": 5})
    assert expected(five, steps=5) == Estimate(2.0, "about")
    assert expected(five, steps=10) == Estimate(4.0, "about")
    assert expected(five) == Estimate(120.0, "at most"), "with 60 starts instead of one"
    assert expected(five, steps=1) == Estimate(0.4, "at least")
    resumed = _took(1.0, short, 8, units={"steps": 5}, resumed_at=4)
    nothing_left = _took(1.0, short, 10, units={"steps": 5}, resumed_at=5)
    assert expected(resumed) == Estimate(300.0, "at most")
    assert expected(nothing_left) is None
    slow, long = (_took(s, short, 7, units={"steps": n}) for s, n in ((6.0, 5), (70.0, 700)))
    assert expected(nothing_left, five, resumed, slow, steps=5) == Estimate(4.0, "about")
    assert expected(five, slow, long, steps=600) == Estimate(60.0, "about"), "by the nearest"
    pictures = [_took(s, short, s, units={"images": 30}) for s in (4.0, 3.0)]
    assert expected(*pictures) == Estimate(4.0, "last time")
    assert expected(_took(7.0, short, 1)) == Estimate(7.0, "last time")
    assert expected() is expected(five, fn="m:g") is None
