"""The entry point: commands, and what becomes of an error."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence

import cyclopts
import duckdb
import polars as pl
import pyarrow as pa
from rich.console import Console

from factory.cli import doctor, init, judge, look, release, runs, upkeep
from factory.cli.output import printable
from factory.errors import FactoryError
from factory.version import VERSION
from verifiers.verdict import JudgeUnusable

app = cyclopts.App(
    name="factory",
    version=VERSION,
    help="""Turn a reasoning policy into a verified corpus, and a corpus into better policies.

A recipe sends problems through a policy to get traces, past judges to get verdicts; a corpus is what it selects.
Start with: factory plan recipes/quickstart.yaml, then factory run recipes/quickstart.yaml.
With completions of your own: factory init my.jsonl.""",
    help_epilogue="Exit codes: 0 done, 1 failed, 2 wrong use or recipe, 130 interrupted (run it again to go on).",
    help_format="plaintext",
    suppress_keyboard_interrupt=False,
    result_action="return_value",
)
for commands in (runs, look, judge, init, release, doctor):
    commands.register(app)
upkeep.register(app)


def call(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code."""
    stderr = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # reading a dataset sends nothing but the request for it
    _show_training(logging.getLogger("factory.train"))
    try:
        code = app(list(arguments), exit_on_error=False, print_error=False)
        sys.stdout.flush()
    except cyclopts.CycloptsError as error:
        stderr.print(f"factory: {error}", markup=False)
        stderr.print("hint: factory --help, or factory COMMAND --help", markup=False)
        return 2
    except FactoryError as error:
        stderr.print(f"factory: {printable(str(error))}", markup=False)
        return error.exit_code
    except JudgeUnusable as error:
        stderr.print(f"factory: {printable(str(error))}", markup=False)
        return 1
    except (OSError, pl.exceptions.PolarsError, pa.ArrowException, duckdb.Error) as error:
        if isinstance(error, BrokenPipeError):  # `factory sql … | head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        stderr.print(f"factory: {type(error).__name__}: {printable(str(error).strip())}", markup=False)
        if not isinstance(error, OSError):
            stderr.print("hint: `factory ledger fsck` looks for damaged files", markup=False)
        return 1
    except KeyboardInterrupt:
        stderr.print(
            "factory: interrupted; what was finished is kept, the same command goes on from there", markup=False
        )
        return 130
    return code if isinstance(code, int) else 0


def _show_training(logger: logging.Logger) -> None:
    """Say a trainer's progress on stderr."""
    if not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("train    %(message)s"))
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
