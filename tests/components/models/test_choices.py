import dataclasses
import subprocess
import sys

import pytest

from components.models.backbone import BACKBONES
from components.models.choices import PACKAGED, Lite0, Resnet, Small, Stage1, Stage2


def test_settings_are_read_without_torch() -> None:
    code = "import sys, components.models.choices; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_backbone_has_a_row_and_every_packaged_file_a_backbone() -> None:
    assert {kind().kind for kind in (Small, Resnet, Lite0)} == set(BACKBONES)
    assert {p.backbone for p in PACKAGED.values()} <= set(BACKBONES)
    assert all(len(p.sha256) == 64 for p in PACKAGED.values())


@pytest.mark.parametrize("stage", [Stage1, Stage2])
def test_stages_are_frozen_and_have_defaults(stage) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        stage().steps = 3
    assert stage() == stage()
