import pytest

from tests.bench.transfer_memory import DONE, measured

MOST = 4.0  # GB


@pytest.mark.long
@pytest.mark.parametrize("name", DONE)
def test_the_papers_size_and_beyond_fit_a_small_machine(name: str) -> None:
    assert measured(name)["gb"] < MOST
