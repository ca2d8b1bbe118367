"""`vocabox submit CONFIG`: run a config as a job on a cluster, and follow its log."""

from typing import Any

import click

from pipelines.cli import given
from pipelines.cli.work import WORK
from pipelines.runs.spelled import command

EXAMPLE = "vocabox submit configs/first_run.yaml --address http://head:8265 --dry-run"


@click.command(epilog=f"\b\nExample:\n  {EXAMPLE}")
@given.config_argument
@given.settings_argument
@given.store_option
@given.cut_options
@given.dashboard_option(required=True)
@given.insecure_option
@click.option(
    "--wait-for-nodes", type=given.Number(min=0), metavar="SECONDS",
    help="Wait so long for machines that a node needs: 300 unless given.",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="List what would be sent, and send nothing.")
@click.option("--again", is_flag=True, help="Also where this run is done: its files may be new.")
def submit(*, config: str, settings: tuple[str, ...], address: str, store: str, **how: Any) -> int:
    """Run a config as a job on a cluster, and follow its log.

    The job outlives this command: Ctrl-C leaves it running. The same command again follows it,
    and goes on with it where it failed. The store, and the files that the config names, must be
    where every machine of the cluster reaches them.
    """
    found = given.check_dashboard(address)
    if "://" not in store:  # a folder, as far as it can be seen from here
        found += given.check_store(store, mode="read")
    loaded = given.load_config(config, settings, found)
    given.cuts_of(loaded.graph, how)
    parts = {option: how[name] for option, name in given.CUTS.items()}
    cuts = [word for option, nodes in parts.items() for node in nodes for word in (option, node)]
    options = {**parts, "--address": [address]}
    again = command("submit", config, settings, store=store, options=options)
    again += " --insecure-cluster" if how["insecure"] else ""
    flags = ["--instead-of", again]
    flags += ["--insecure-cluster"] if how["insecure"] else []
    if how["wait_for_nodes"] is not None:
        flags += ["--wait-for-nodes", f"{how['wait_for_nodes']:g}"]
    with given.refusals():
        what = WORK["submission"](loaded, store=store, cuts=cuts, flags=flags)
        if how["dry_run"]:
            click.echo("\n".join([*what.parcel.listing(), f"{what.run}: {what.command}"]))
            return 0
        jobs = WORK["jobs"](address, insecure=how["insecure"])
        return WORK["send"](jobs, what, again=how["again"], say=click.echo)
