"""Adds `pipeline` to the command line. Nothing heavy is imported before that command runs."""

import argparse
import signal
import sys


def add(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    # Its options depend on the pipeline, whose module takes time to import: here, all arguments are positional.
    command = subparsers.add_parser(
        "pipeline", help="run a pipeline: NAME --help shows its options", add_help=False, prefix_chars="\0"
    )
    command.add_argument("arguments", nargs="*")
    command.set_defaults(run=run, needs_database=False)


def run(options: argparse.Namespace) -> None:
    """Run a pipeline, and exit with its status."""
    # A service that was asked to end has succeeded; a pipeline has days left.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    from app.core.pipeline.cli import main

    main(options.arguments)
