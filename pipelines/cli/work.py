"""What the commands have done for them, one row each; imported only when it is called."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pipelines.cli.search_work import space, tune

UNPICKLED = re.compile(r"^.*unpickled\.safetensors(?=: )")  # what a pickle became on the way


def load(config: Path, overrides: tuple[str, ...], **how: Any) -> Any:
    """Return recipe, settings and graph of a config, or raise with every problem."""
    from pipelines.runs.loading import load as work

    return work(config, overrides, **how)


def run(loaded: Any, **how: Any) -> Any:
    """Run a loaded config to its end."""
    from pipelines.runs.drive import drive

    return drive(loaded, **how)


def check(loaded: Any) -> list[Any]:
    """Return what is wrong with the graph of a loaded config."""
    from pipelines.graph.checks import check as work

    return work(loaded.graph)


def tracking(loaded: Any) -> list[str]:
    """Return why the place that a config names for tracking would not take its run."""
    from pipelines.runs.tracked import tracking_problems as work

    return work(loaded)


def plan(loaded: Any, *, store: str, cuts: Any, form: str) -> str:
    """Return what would run and why, in one of the forms of `pipelines.graph.show`."""
    from cluster.storage import open_store
    from pipelines.graph.plan import plan as work
    from pipelines.graph.show import FORMATS

    return FORMATS[form](work(loaded.graph, open_store(store, mode="read"), cuts))


def predict(model: Path, **how: Any) -> Any:
    """Find boxes in pictures with a model of an earlier run."""
    from pipelines.nodes.predict import predict as work

    return work(model, **how)


def convert(source: Path, **how: Any) -> Any:
    """Turn somebody's weights into the safe form; what is wrong with them is the user's to know."""
    from cluster.failures import failure_of
    from components.models.pretrained_trunks import MissingExtraError
    from components.train.convert_file import convert_file as work
    from components.train.weights_file import WeightsError
    from components.vocab.classes import VocabularyError
    from pipelines.settings.problems import Problem, SettingsError

    try:
        return work(source, **how)
    except (WeightsError, VocabularyError, MissingExtraError) as error:
        if failure_of(error, where=str(source)).kind == "storage":
            raise  # a full disk is no fault of the file
        text = UNPICKLED.sub(lambda _: str(source), str(error))
        raise SettingsError([Problem.told(text)]) from error


def export(model: Path, *, classes: Path | None, **how: Any) -> Any:
    """Write a detector's classes as rows; what is wrong with a source is the user's to know."""
    from components.models.class_weights import ClassWeightsError
    from components.models.pretrained_trunks import MissingExtraError
    from components.models.two_stage import NoTrunkFeatureError
    from components.train.checkpoint import ModelError
    from components.train.weights_file import DamagedError, WeightsError
    from components.transfer.source import SourceError
    from components.vocab.class_list import read_class_list
    from components.vocab.classes import VocabularyError
    from pipelines.nodes.export import export_rows as work
    from pipelines.settings.problems import Problem, SettingsError

    try:
        ids = None if classes is None else read_class_list(classes).ids
        return work(model, ids=ids, **how)
    except DamagedError:
        raise  # a result of ours: not for the user to mend
    except (
        ClassWeightsError,
        MissingExtraError,
        ModelError,
        NoTrunkFeatureError,
        SourceError,
        VocabularyError,
        WeightsError,
    ) as error:
        raise SettingsError([Problem.told(str(error))]) from error


def submission(loaded: Any, **how: Any) -> Any:
    """Return what a cluster is sent for a loaded config."""
    from pipelines.runs.submission import submission_of as work

    return work(loaded, **how)


def jobs(address: str, *, insecure: bool) -> Any:
    """Return the jobs of a cluster that lets us in."""
    from cluster.jobs import open_jobs as work

    return work(address, insecure=insecure)


def send(jobs: Any, what: Any, **how: Any) -> int:
    """Send a run unless it is there, follow its log, and return its exit code."""
    from pipelines.cli.following import send as work

    return work(jobs, what, **how)


def standings(store: str, *, run: str | None) -> list[Any]:
    """Return how the runs in a store stand, or one of them."""
    from pipelines.runs.keeping import open_marked
    from pipelines.runs.states import runs_in, standing

    place = open_marked(store)
    return [standing(one, place) for one in runs_in(place) if run in (None, one.run)]


def events(store: str, *, run: str, offset: int) -> tuple[list[dict[str, Any]], int]:
    """Return the events of a run from an offset on, and the offset after them."""
    from cluster.journal import read_events
    from cluster.storage import open_store

    place = open_store(store, mode="read").home / "runs" / run / "events.jsonl"
    return read_events(place, offset=offset)


def stop(store: str, *, run: str) -> None:
    """Ask the driver of a run to stop."""
    from cluster.storage import open_store
    from pipelines.runs.stopping import StopFile

    StopFile(open_store(store), run).ask()


def sheet_of_shards(shards: Path, *, out: Path, count: int) -> int:
    """Draw samples of packed shards on one sheet; return how many."""
    from components.data.contact_sheet import of_shards, write_contact_sheet

    return write_contact_sheet(of_shards(shards, count=count), out=out)


def sheet_of_config(loaded: Any, *, out: Path, count: int) -> int:
    """Draw samples of each source of a config on one sheet; return how many."""
    from components.data.contact_sheet import of_drawn, of_labelled, write_contact_sheet
    from components.data.readers import pictures_of, places
    from pipelines.cli.data_given import sources_in

    def samples() -> Iterator[Any]:
        for _, source in sources_in(loaded.cfg.sources, "sources"):
            if source.kind == "drawn":
                yield from of_drawn(loaded.cfg.draw, part=source.part, count=count)
            else:
                root = loaded.root
                pictures = pictures_of(source.reader, places(source, root))
                yield from of_labelled(pictures, count=count)

    return write_contact_sheet(samples(), out=out)


def sources_of_config(config: Path, settings: tuple[str, ...]) -> list[Any]:
    """Return the sources of files that a config names."""
    from pipelines.cli.data_given import of_config as work

    return list(work(config, settings))


def drawn_of_config(config: Path, settings: tuple[str, ...]) -> list[Any]:
    """Return the classes of the sources that vocabox draws for a config."""
    from pipelines.cli.data_given import drawn_of_config as work

    return list(work(config, settings))


def sources_of_files(files: tuple[str, ...], **about: Any) -> list[Any]:
    """Return one source a label file."""
    from pipelines.cli.data_given import of_files as work

    return list(work(files, **about))


def check_data(
    sources: list[Any], *, drawn: list[Any], known: tuple[str, ...], glance: str, saying: Any
) -> None:
    """Look at sources one by one and together; what is found goes to `saying` at once."""
    from components.data.check_pictures import GLANCES
    from components.data.check_sets import check_together
    from components.data.check_source import check_source

    looked: list[tuple[Any, Any]] = []
    for source in sources:
        found = saying.findings(source.name)
        counted = check_source(source, glance=GLANCES[glance], found=found, say=saying.progress)
        saying.source(counted, found)
        looked.append((source, counted))
    found = saying.findings("together")
    check_together(looked, known=known, found=found, drawn=drawn)
    saying.together(found)


def results(where: str) -> list[Any]:
    """List the results in a store."""
    from pipelines.runs.keeping import results as work

    return work(where)


def collect(where: str, **how: Any) -> Any:
    """Find what no kept run needs, and delete it if told to."""
    from pipelines.runs.keeping import collect as work

    return work(where, **how)


def verify(where: str, **how: Any) -> Iterator[Any]:
    """Compare a store with its records."""
    from pipelines.runs.keeping import verify as work

    return work(where, **how)


def lineage(where: str, name: str) -> Iterator[Any]:
    """Find what results were made from."""
    from pipelines.runs.rerun import lineage as work

    return work(where, name)


def rerun(where: str, name: str, **how: Any) -> list[Any]:
    """Make a result again in another store."""
    from pipelines.runs.rerun import rerun as work

    return work(where, name, **how)


def pin(where: str, run: str, **how: Any) -> None:
    """Keep a run, or no more."""
    from pipelines.runs.keeping import pin as work

    work(where, run, **how)


WORK: dict[str, Callable[..., Any]] = {
    "load": load,
    "space": space,
    "tune": tune,
    "check": check,
    "tracking": tracking,
    "run": run,
    "plan": plan,
    "predict": predict,
    "convert": convert,
    "export": export,
    "submission": submission,
    "jobs": jobs,
    "send": send,
    "standings": standings,
    "events": events,
    "stop": stop,
    "sheet_of_shards": sheet_of_shards,
    "sheet_of_config": sheet_of_config,
    "sources_of_config": sources_of_config,
    "drawn_of_config": drawn_of_config,
    "sources_of_files": sources_of_files,
    "check_data": check_data,
    "results": results,
    "collect": collect,
    "verify": verify,
    "pin": pin,
    "lineage": lineage,
    "rerun": rerun,
}
