"""Fit tensors of a file to a module: names and shapes must agree, or nothing is loaded."""

from collections.abc import Mapping

from torch import Tensor, nn

SHOWN = 10  # differences named in an error
_COUNTER = "num_batches_tracked"  # of BatchNorm; a fixed one has none


class WeightsError(ValueError):
    """A file's tensors do not fit a network."""


def fit_tensors(
    target: nn.Module,
    tensors: Mapping[str, Tensor],
    *,
    where: str,
    left_out: tuple[str, ...] = (),
) -> None:
    """Copy tensors into a module by name.

    Args:
        target: every one of its tensors must be given.
        tensors: by the module's names.
        where: the file, for the error.
        left_out: beginnings of names that may be given and are not taken.

    Raises:
        WeightsError: names or shapes differ; the first ten differences are listed.
    """
    wanted = target.state_dict()
    wrong = [
        f"{name} is missing"
        for name in wanted
        if name not in tensors and not name.endswith(_COUNTER)
    ]
    taken: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if name not in wanted:
            if not name.startswith(left_out) and not name.endswith(_COUNTER):
                wrong.append(f"{name} is not a tensor of this network")
        elif tensor.shape != wanted[name].shape:
            got, need = list(tensor.shape), list(wanted[name].shape)
            wrong.append(f"{name} has shape {got}, and the network {need}")
        else:
            taken[name] = tensor.to(wanted[name].dtype)
    if wrong:
        more = f"; and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        raise WeightsError(
            f"{where}: the weights do not fit the network; got {len(wrong)} differences: "
            f"{'; '.join(wrong[:SHOWN])}{more}. Use the backbone they were made for."
        )
    target.load_state_dict(taken, strict=False)
