"""The command `pipeline`. Large libraries are imported only when the command runs."""

import argparse
import signal
import sys


def add(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    # The options depend on the pipeline, which is slow to import. So here all arguments are positional.
    command = subparsers.add_parser(
        "pipeline", help="run a pipeline: NAME --help shows its options", add_help=False, prefix_chars="\0"
    )
    command.add_argument("arguments", nargs="*")
    command.set_defaults(run=run, needs_database=False)


def run(options: argparse.Namespace) -> None:
    """Run a pipeline and exit with its status."""
    # Exit with an error after SIGTERM: unlike a service, an interrupted pipeline has not finished its work.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    from app.core.pipeline.cli import main

    main(options.arguments)
