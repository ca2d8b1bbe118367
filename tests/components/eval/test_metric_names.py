import pytest

from components.eval.metric_names import NAMES, MetricNameError, check_name


def test_names_are_of_one_form_and_none_is_there_twice() -> None:
    assert len(set(NAMES)) == len(NAMES)
    for name in NAMES:
        group, slash, rest = name.partition("/")
        assert group.isalpha(), name
        assert slash, name
        assert rest.replace("_", "").isalnum(), name
        assert check_name(name) == name
        assert check_name(f"{name}@birds_2") == f"{name}@birds_2"


@pytest.mark.parametrize(
    "name",
    ["", "AP", "coco/ap", "coco/AP@", "coco/AP@a b", "coco/AP@<b>", "coco/AP@a@b", "coco/AP\n",
     "coco/AP@" + "x" * 121],
)  # fmt: skip
def test_another_name_is_refused(name: str) -> None:
    with pytest.raises(MetricNameError, match="not in the list"):
        check_name(name)
