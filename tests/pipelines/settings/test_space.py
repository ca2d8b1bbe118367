"""Spaces of a search: read, and held against the page that is searched."""

from pathlib import Path

import pytest

from components.eval.metric_names import NAMES
from pipelines.settings.problems import SettingsError
from pipelines.settings.space import Between, OneOf, read_space

RESOLVED = {
    "stage2.lr": 2e-3,
    "stage2.steps": 300,
    "stage1.multi": "soft",
    "stage2.deterministic": True,
}


def space(folder: Path, text: str) -> Path:
    (folder / "space.yaml").write_text(text)
    return folder / "space.yaml"


def test_a_space_is_read_with_whole_numbers_kept_whole(tmp_path: Path) -> None:
    text = """
axes:
  stage2.lr: {kind: between, low: 1e-4, high: 1e-2, log: true}
  stage2.steps: {kind: one_of, of: [100, 300]}
  stage1.multi: {kind: one_of, of: [soft, sigmoid]}
  stage2.deterministic: {kind: one_of, of: [true, false]}
"""
    found = read_space(space(tmp_path, text), resolved=RESOLVED, metrics=NAMES)
    assert (found.metric, found.mode) == ("val/AP", "max")
    assert found.axes["stage2.lr"] == Between(low=1e-4, high=1e-2, log=True)
    steps = found.axes["stage2.steps"]
    assert isinstance(steps, OneOf)
    assert [type(value) for value in steps.of] == [int, int]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("axes: {stage2.lt: {kind: between, low: 0, high: 1}}",
         "axes.stage2.lt: no setting of the page that is searched; got stage2.lt. "
         "Did you mean 'stage2.lr'?"),
        ("axes: {}", "axes: nothing to search; got no setting."),
        ("metric: val/APP\naxes: {stage2.lr: {kind: between, low: 0, high: 1}}",
         "metric: no metric of a run; got 'val/APP'. Did you mean 'val/AP'?"),
        ("axes: {stage2.lr: {kind: between, low: 1, high: 0}}", "low is below high; got 1.0"),
        ("axes: {stage2.lr: {kind: between, low: 0, high: 1, log: true}}", "log needs numbers"),
        ("axes: {stage2.lr: {kind: between, low: .1, high: 1}}",
         "axes.stage2.lr: holds the page's own value, which is tried first; got 0.002. Widen it"),
        ("axes: {stage1.multi: {kind: between, low: 0, high: 1}}", "got 'soft'. Widen it"),
        ("axes: {stage1.multi: {kind: one_of, of: [soft]}}", "stage1.multi"),
        ("axes: {stage1.multi: {kind: any}}", "kind"),
        ("metric: val/AP", "axes: required, and not given"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_space_is_said(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SettingsError) as found:
        read_space(space(tmp_path, text), resolved=RESOLVED, metrics=NAMES)
    assert said in str(found.value)
