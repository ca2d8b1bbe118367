"""What one page of settings says for paper 5: sources, backbone, two stages, evaluation, places."""

from dataclasses import dataclass, field
from typing import Literal

from components.data.drawn.world import World
from components.models.choices import Lite0, Resnet, Small, Stage1, Stage2
from pipelines.recipes.page_settings import Evaluate, Library, Place, Sources, Tracking


@dataclass(frozen=True, kw_only=True, slots=True)
class JointConfig:
    """One page: paper 5, classify first on a whole-image region, then train jointly."""

    recipe: Literal["joint"]  # which pipeline: paper 5
    draw: World | None = None  # for sources of kind drawn
    sources: Sources
    backbone: Small | Resnet | Lite0 = field(default_factory=Small)  # the network
    stage1: Stage1 | None = None  # null: the arm without stage I
    stage2: Stage2
    evaluate: Evaluate = field(default_factory=Evaluate)
    keyed_versions: tuple[Library, ...] = ()  # another major.minor of these reruns what is there
    run_on: dict[str, Place] = field(default_factory=dict)  # by node: boxes, labels, stage1, ...
    tracking: Tracking = field(default_factory=Tracking)

    @property
    def labels_teach(self) -> bool:
        """Say whether anything is trained on the image labels."""
        return self.stage1 is not None or (self.stage2.photos > 0 and self.stage2.image_weight > 0)

    @property
    def learns_elsewhere(self) -> bool:
        """Say whether classes come that no source of this page teaches."""
        return False
