"""The same messages on the shipped page and its own dataclasses, not only on an example."""

from pathlib import Path

import pytest

from pipelines.runs.loading import load
from pipelines.settings.problems import SettingsError

FIRST_RUN = Path(__file__).parents[3] / "configs" / "first_run.yaml"
SAID = {
    "stage2.lrr=1": "stage2.lrr (command line): no such setting. Did you mean 'lr'?",
    "stage2.steps=many": "stage2.steps (command line): expected a whole number",
    "stage2.steps=1.5": "stage2.steps (command line): expected a whole number",
    "stage2.steps=true": "stage2.steps (command line): expected a whole number",
    "stage2.steps=0": "stage2.steps (command line): expected a whole number >= 1; got 0",
    "stage2.lr=1e300": "stage2.lr (command line): expected a number",
    "stage2.lr=0": "stage2.lr (command line): expected a number",
    "stage1.clip=-1": "stage1.clip (command line): expected a number",
    "stage1.multi=hard": "stage1.multi (command line): expected one of soft, sigmoid",
    "backbone.kind=vgg": "backbone.kind (command line): expected one of",
    "stage2.scene_view.scale=[1,0.5]": "stage2.scene_view.scale: the first must not be above",
    "stage2.scene_view.scale=[0.1,2]": "stage2.scene_view.scale.1: expected a number in (0, 1]",
    "stage2.world=8": "stage2.scenes: each of 8 workers needs a picture a step; got 6",
    "draw.kinds=11": "draw.kinds (command line): expected a whole number in [2, 10]; got 11",
    "sources.test.0.source.part=none": "sources.test.0.source.part (command line): expected one of",
    "run_on.stage3.cpus=1": "run_on.stage3: no such node",
    "evaluate.groups={x: [mug]}": "evaluate.groups.x: a class id is <level>:<name>",
}


@pytest.mark.parametrize(("given", "said"), SAID.items(), ids=list(SAID))
def test_a_wrong_override_of_first_run(given: str, said: str) -> None:
    with pytest.raises(SettingsError) as error:
        load(FIRST_RUN, (given,))
    assert said in str(error.value)


def test_all_of_them_at_once() -> None:
    wrong = [given for given in SAID if "expected" in SAID[given]]
    keys = [given.partition("=")[0] for given in wrong]
    once = [given for given in wrong if keys.count(given.partition("=")[0]) == 1]
    with pytest.raises(SettingsError) as error:
        load(FIRST_RUN, once)
    assert len(error.value.problems) == len(once)
    for given in once:
        assert SAID[given] in str(error.value)
