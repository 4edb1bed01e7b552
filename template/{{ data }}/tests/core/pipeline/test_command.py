"""`python -m app pipeline`: names, options, errors and exit statuses."""

import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from app.core.database import embedded
from app.core.database.embedded import EmbeddedServerError
from app.core.pipeline import cli, engines
from app.core.slices import Slice
from tests.core.pipeline.conftest import Command, Plant
from tests.core.pipeline.trips import RATINGS, TRIPS

HEADER = "id,station,started_at,meters"


def only(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    monkeypatch.setattr(cli, "find_slices", lambda: map(Slice, names))


def test_single_pipeline_needs_no_name(
    command: Command, sample: tuple[str, ...], newcomer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (newcomer.with_name("newcomer_without")).mkdir()
    only(monkeypatch, "newcomer", "newcomer_without")
    assert command(*sample, "--dry-run", name=None).code == 0
    assert command(name="other") == (1, "", "There is no pipeline other, only: newcomer.\n")


def test_several_pipelines_need_a_name(
    command: Command, sample: tuple[str, ...], newcomer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = newcomer.with_name("newcomer_too")
    shutil.copytree(newcomer, second)
    only(monkeypatch, "newcomer", "newcomer_too")
    assert command("--dry-run", name=None) == (1, "", "Name the pipeline first, one of: newcomer, newcomer_too.\n")
    assert command(*sample, "--dry-run").code == 0
    assert command(*sample, "--dry-run", name="newcomer_too").code == 0


def test_no_pipeline_is_one_sentence(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch)
    message = "There is no pipeline: a slice declares `pipeline` in its pipeline.py.\n"
    assert command(name=None) == command() == (1, "", message)


def test_slice_without_pipeline_is_named(command: Command, newcomer: Path) -> None:
    (newcomer / "pipeline.py").write_text("")
    assert command().err == (
        "The slice 'newcomer' does not load: pipeline.py must define `pipeline`, of type Pipeline\n"
    )


def test_each_pipeline_input_is_an_option(command: Command, plant: Plant) -> None:
    ended = command("--help")
    assert ended.code == 0
    assert "usage: app pipeline newcomer " in ended.out
    assert "Count the trips from each station." in ended.out
    assert "  --trips TRIPS\n  --ratings RATINGS\n" in ended.out
    plant(inputs=(replace(TRIPS, name="bike_trips"), replace(RATINGS, parent="bike_trips")))
    assert "--bike-trips" in command("--help").out
    plant(inputs=(replace(TRIPS, name="dry_run"), replace(RATINGS, parent="dry_run")))
    message = "The option --dry-run exists already: give the input another name.\n"
    assert command("--help") == (1, "", message)


def test_pipeline_without_a_sample_needs_its_inputs(command: Command, plant: Plant) -> None:
    plant(write_sample=None)
    assert command() == (1, "", "Give --trips and --ratings: a folder or a SELECT.\n")
    assert "sample" not in command("--help").out


def test_sample_is_not_computed_in_production(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENVIRONMENT", "production")
    assert command("--files-only") == (1, "", "Give --trips and --ratings: a folder or a SELECT.\n")


def test_error_message_is_one_sentence(command: Command, tmp_path: Path) -> None:
    (tmp_path / "ratings").mkdir()

    def message(name: str, content: str) -> str:
        shutil.rmtree(tmp_path / "trips", ignore_errors=True)
        (tmp_path / "trips").mkdir()
        (tmp_path / "trips" / name).write_text(content)
        ended = command("--trips", "trips", "--ratings", "ratings")
        assert ended.code == 1
        assert len(ended.err.splitlines()) == 1
        return ended.err

    assert "is not named after its day" in message("trips.csv", HEADER)
    assert "is not named after its day" in message("2026-01-01.txt", HEADER)
    assert "is not named after its day" in message("20260101.csv", HEADER)
    assert "is not named after its day" in message("None.csv", HEADER)
    (tmp_path / "ratings" / "2026-01-01.csv").touch()
    (tmp_path / "ratings" / "2026-01-01.parquet").touch()
    assert "ratings has two files of 2026-01-01: leave one of them." in message("2026-01-01.csv", HEADER)
    (tmp_path / "ratings" / "2026-01-01.parquet").unlink()
    belong = "--trips and --ratings belong together: give all, or none for a sample.\n"
    assert command("--trips", "trips") == (1, "", belong)
    assert command("--trips", "nowhere", "--ratings", "ratings").err == "There is no folder nowhere.\n"
    assert command("--trips", "trips", "--ratings", "rtaings").err == "There is no folder rtaings.\n"
    ended = command("--trips", "SELECT nothing", "--ratings", "ratings")
    assert (ended.code, ended.err) == (1, 'PostgreSQL refuses: column "nothing" does not exist\n')
    ended = command("--trips", "SELECT now() AS started_at, 1 AS id", "--ratings", "ratings", "--day", "2026-01-01")
    found = "The SELECT of trips has no column station, meters; found started_at, id.\n"
    assert ended == (1, "", found)
    assert command("--allowed", "2").code == 2
    assert not Path(".pipeline/newcomer/output/station_days").exists()


def test_unavailable_database_exits_with_75(
    command: Command, sample: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://127.0.0.1:1/nothing")
    ended = command(*sample)
    assert (ended.code, len(ended.err.splitlines())) == (75, 1)
    assert command(*sample, "--files-only").code == 0


def test_files_only_option_needs_no_database(
    command: Command, sample: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(_: str) -> str:
        raise EmbeddedServerError("started")

    monkeypatch.delenv("DATABASE_URL")
    monkeypatch.setattr(embedded, "start", start)
    assert command(*sample, "--files-only").code == 0
    assert command(*sample, "--again") == (1, "", "started\n")


def test_terminated_run_exits_with_143(command: Command, plant: Plant) -> None:
    plant(write_sample=lambda _: signal.raise_signal(signal.SIGTERM))
    assert command("--files-only").code == 143
    assert list(Path(".pipeline/newcomer").iterdir()) == []


def test_missing_engine_says_how_to_install_it(
    command: Command, sample: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "find_spec", lambda name: None)
    ended = command(*sample, "--engine", "duckdb")
    assert ended.code == 1
    assert ended.err.startswith("The engine duckdb is not installed. Install its group: ")
    assert ended.err.endswith(" duckdb\n")


def test_terminal_shows_a_progress_bar(
    command: Command, sample: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "days" in command(*sample, "--dry-run").err


@pytest.mark.slow
def test_other_commands_load_no_engine() -> None:
    script = """
import sys
import app.core.pipeline
from app.core.cli.main import main
try:
    main(["--help"])
except SystemExit:
    sys.exit("polars" in sys.modules)
"""
    assert find_spec("polars")
    said = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    assert "pipeline" in said
