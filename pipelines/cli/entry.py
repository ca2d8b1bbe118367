"""The command `vocabox`: finds the command, and turns whatever happens into an exit code."""

import errno
import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from typing import Any

import click

from pipelines.cli.json_lines import write_event
from pipelines.settings.problems import Problem, SettingsError, nearest, shown, visible

NAME = "vocabox"
NAMES = (errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL)  # a name that no file can have


def _run() -> click.Command:
    from pipelines.cli.run_command import run

    return run


def _check() -> click.Command:
    from pipelines.cli.check_command import check

    return check


def _show() -> click.Command:
    from pipelines.cli.show_command import show

    return show


def _predict() -> click.Command:
    from pipelines.cli.predict_command import predict

    return predict


def _data() -> click.Command:
    from pipelines.cli.data_command import data

    return data


def _convert() -> click.Command:
    from pipelines.cli.convert_command import convert

    return convert


def _export() -> click.Command:
    from pipelines.cli.export_command import export

    return export


def _submit() -> click.Command:
    from pipelines.cli.submit_command import submit

    return submit


def _tune() -> click.Command:
    from pipelines.cli.tune_command import tune

    return tune


def _status() -> click.Command:
    from pipelines.cli.runs_commands import status

    return status


def _logs() -> click.Command:
    from pipelines.cli.runs_commands import logs

    return logs


def _stop() -> click.Command:
    from pipelines.cli.runs_commands import stop

    return stop


def _store() -> click.Command:
    from pipelines.cli.store_command import store

    return store


def _lineage() -> click.Command:
    from pipelines.cli.lineage_command import lineage

    return lineage


COMMANDS: dict[str, Callable[[], click.Command]] = {
    "run": _run,
    "tune": _tune,
    "check": _check,
    "show": _show,
    "predict": _predict,
    "data": _data,
    "convert": _convert,
    "export": _export,
    "submit": _submit,
    "status": _status,
    "logs": _logs,
    "stop": _stop,
    "store": _store,
    "lineage": _lineage,
}


class Vocabox(click.Group):
    """Loads a command when it is named; ends with one clear message and a code of the table."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the table."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command, imported now."""
        del ctx
        return COMMANDS[cmd_name]() if cmd_name in COMMANDS else None

    def main(self, args: Sequence[str] | None = None, *rest: Any, **extra: Any) -> Any:
        """Run one command line and exit; `standalone_mode` is ours to set."""
        del rest
        given = list(sys.argv[1:] if args is None else args) or ["--help"]
        extra = {"prog_name": NAME} | extra | {"standalone_mode": False}
        try:
            code = super().main(given, **extra)
        except (click.Abort, KeyboardInterrupt):
            code = _interrupted(given)
        except SettingsError as error:
            code = _refused(error, given)
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            code = 0
        except click.ClickException as error:
            code = _refused(SettingsError([usage_problem(error, given=given)]), given)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # who read us has left
            code = 1
        except OSError as error:
            code = _bad_name(error, given) if error.errno in NAMES else _failed(error, given)
        except Exception as error:  # the last door: no traceback passes it
            code = _failed(error, given)
        sys.exit(code if isinstance(code, int) else 0)


def usage_problem(error: click.ClickException, *, given: Sequence[str]) -> Problem:
    """Return what is wrong with a command line, with the nearest name where one is."""
    ctx = error.ctx if isinstance(error, click.UsageError) else None
    known = [word for word in given[:1] if word in COMMANDS]
    where = ctx.command_path if ctx else " ".join([NAME, *known])
    see = f"See {where} --help."
    if isinstance(error, click.NoSuchOption):
        params = ctx.command.get_params(ctx) if ctx else []
        known = [name for p in params if not getattr(p, "hidden", False) for name in p.opts]
        known = [name for name in known if name.startswith("--")]
        do = nearest(error.option_name, known, otherwise=see)
        return Problem(where=where, what="no such option", got=error.option_name, do=do)
    if isinstance(error, click.UsageError) and error.__class__.__name__ == "NoSuchCommand":
        names = (
            ctx.command.list_commands(ctx) if ctx and isinstance(ctx.command, click.Group) else []
        )
        got = error.format_message().partition("'")[2].partition("'")[0]
        do = nearest(got, names, noun="The commands are")
        return Problem(where=where, what="no such command", got=got, do=do)
    what = error.format_message().rstrip(".")
    return Problem(where=where, what=what[:1].lower() + what[1:], do=see)


def _refused(error: SettingsError, given: Sequence[str]) -> int:
    """Say every problem, on stderr or as JSON; nothing has been started."""
    if "--json" in given:
        for problem in error.problems:
            write_event(problem.event())
        status = {"status": "failed", "reason": "bad_input", "problems": len(error.problems)}
        write_event({"event": "finished", **status})
    click.echo(str(error), err=True)
    return 2


def _bad_name(error: OSError, given: Sequence[str]) -> int:
    """Say which name no file can have."""
    what = (error.strerror or "no file can have this name").lower()
    problem = Problem(where="path", what=what, got=shown(error.filename), do="Check the path.")
    return _refused(SettingsError([problem]), given)


def _interrupted(given: Sequence[str]) -> int:
    goes_on = " The same command goes on from here." if given[:1] in (["run"], ["tune"]) else ""
    click.echo(f"Interrupted.{goes_on}", err=True)
    return 130


def _failed(error: Exception, given: Sequence[str]) -> int:
    """Say what failed in one line; the traceback goes to a file that the line names."""
    from cluster.failures import EXIT, Budget, Fail, decide, failure_of

    failure = failure_of(error, where=NAME)
    last = decide(failure, attempt=10**6, policy=Budget())
    code = last.code if isinstance(last, Fail) else 1
    text = visible(failure.text)
    if "--json" in given:
        write_event({"event": "finished", "status": "failed", "code": code, "reason": text})
    if code == EXIT["owned"]:  # nothing is wrong: another driver works on the run
        click.echo(text, err=True)
        return code
    with tempfile.NamedTemporaryFile(
        "w", prefix="vocabox-", suffix=".log", delete=False, encoding="utf-8"
    ) as log:
        traceback.print_exception(error, file=log)
    click.echo(f"{text}\nThe traceback is in {log.name}.", err=True)
    return code


@click.group(
    NAME,
    cls=Vocabox,
    epilog="\b\nExample:\n  vocabox run configs/first_run.yaml",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="vocabox", message="%(package)s %(version)s")
def main() -> None:
    """Boxes for a few classes and image labels for the rest in; a detector for all classes out."""


if __name__ == "__main__":
    main()
