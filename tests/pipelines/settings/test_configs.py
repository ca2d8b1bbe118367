"""Every shipped config: its page says what, how and what to expect; its settings are committed."""

from pathlib import Path

import pytest

from pipelines.settings.problems import shown
from pipelines.settings.reading import choose, flatten, read_page
from pipelines.settings.yaml_door import load_yaml
from tests.pipelines.settings.golden import same

ROOT = Path(__file__).parents[3]
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_config_resolves_to_its_golden(path: Path, write_golden: bool) -> None:
    from pipelines.recipes.table import RECIPES

    page = load_yaml(path)
    recipe = choose(page, [], key="recipe", table=RECIPES)
    cfg = read_page(page, [], schema=recipe.schema)[0]
    lines = [f"{name}: {shown(value)}" for name, value in flatten(cfg).items()]
    golden = f"configs/{path.stem}.txt"
    same("\n".join(lines), as_file=golden, folder=ROOT, write=write_golden)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_config_is_a_page_with_a_command(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 70
    for head in ("# Run:     vocabox ", "# Expect: ", "# Change: "):
        assert head in text
    assert f"run configs/{path.name}" in text
    assert text.startswith("# ")
