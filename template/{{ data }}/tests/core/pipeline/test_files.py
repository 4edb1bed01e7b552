"""An unreadable file holds back only its day. The message names the place, the error and the fix."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from tests.core.pipeline.conftest import Command, Rows
from tests.core.pipeline.trips import expected

HEADER = "id,station,started_at,meters"
ROW = "201,A,2026-01-02T12:00:00Z,5"
TEXT = f"{HEADER}\n{ROW}\n"
PATH = "given/trips/2026-01-02"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"upstream connect error or disconnect/reset before headers",
            (
                f"{PATH}.csv, line 1: no column id, station, started_at, meters;"
                f" found 'upstream connect error or disconnect/reset before headers'. Expected: {HEADER}."
            ),
        ),
        (b"", f"{PATH}.csv is empty: a day without rows needs a header, {HEADER}."),
        (b"\n\n", f"{PATH}.csv is empty: a day without rows needs a header, {HEADER}."),
        (b"id,station,meters\n", f"{PATH}.csv, line 1: no column started_at; found 'id,station,meters'. Expected: "),
        (TEXT.replace("\n", "\r").encode(), f"{PATH}.csv ends its lines with a carriage return (CR) alone: use LF"),
        (HEADER.replace(",", ";").encode(), "Separate columns by commas, not semicolons."),
        (TEXT.replace(",", "\t").encode(), "Separate columns by commas, not tabs."),
        (TEXT.encode("utf-16"), f"{PATH}.csv is UTF-16: save it as UTF-8."),
        (TEXT.encode("utf-16-be"), f"{PATH}.csv is binary or UTF-16: save it as CSV in UTF-8."),
        (b"\x1f\x8b\x08\0", f"{PATH}.csv is compressed by gzip: unpack it."),
        (
            TEXT.replace("A", "Café").encode("latin-1"),
            (
                f"{PATH}.csv, line 2: the byte 0xe9 is not UTF-8;"
                " found '201,Café,2026-01-02T12:00:00Z,5'. Save the file as UTF-8."
            ),
        ),
        (f"{HEADER},größe\n".encode("latin-1"), f"{PATH}.csv, line 1: the byte 0xf6 is not UTF-8; found "),
        (f"{HEADER},meters\n".encode(), f"{PATH}.csv, line 1: more than one column meters; found "),
        (
            f"{TEXT}{ROW},6\n".encode(),
            f"{PATH}.csv, line 3: 5 fields, but the header has 4; found '{ROW},6'. Quote fields that contain commas.",
        ),
        (
            f'{TEXT}202,"A,2026-01-02T12:00:00Z,5\n{ROW}\n'.encode(),
            (
                f"{PATH}.csv, line 3: not CSV; found '202,\"A,2026-01-02T12:00:00Z,5\\n{ROW}'."
                " The quotation mark that begins a field is not closed."
            ),
        ),
        (TEXT.replace("A", '"A"x').encode(), f"{PATH}.csv, line 2: not CSV; found "),
        (TEXT.replace("A", 'A"x').encode(), f"{PATH}.csv, line 2: a quotation mark inside a field; found "),
        (f"{HEADER}\n{ROW}\r{ROW}\n".encode(), "A carriage return (CR) stands alone: end lines with LF or CRLF"),
    ],
    ids=[
        "text",
        "no-bytes",
        "blank-lines",
        "missing-column",
        "cr",
        "semicolons",
        "tabs",
        "utf-16",
        "utf-16-be",
        "gzip",
        "latin-1",
        "latin-1-header",
        "repeated-column",
        "too-many-fields",
        "open-quote",
        "text-after-quote",
        "quote-in-field",
        "cr-in-field",
    ],
)
def test_malformed_csv_holds_back_its_day(
    command: Command, sample: tuple[str, ...], rows: Rows, content: bytes, message: str
) -> None:
    command(*sample, "--day", "2026-01-02")
    known, result = rows(), Path(".pipeline/newcomer/output/station_days/2026-01-02.parquet")
    Path(f"{PATH}.csv").write_bytes(content)
    ended = command("--trips", "given/trips", *sample[2:], "--again")
    held_back = [line for line in ended.out.splitlines() if "held back" in line]
    assert len(held_back) == 1, ended.out
    assert held_back[0].startswith("2026-01-02: held back: ")
    assert message in held_back[0]
    assert ended.code == 1
    assert "2 of 3 days are done." in ended.out
    assert rows() == [*expected(1), *known, *expected(3)]
    assert result.exists()


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ([pl.exclude("meters")], "no column meters; found id, station, started_at."),
        ([pl.exclude("id"), pl.struct(id="id").alias("id")], "the column id is Struct({'id': Int64}). Write it as "),
        ([pl.exclude("id"), pl.concat_list("id")], "the column id is List(Int64). Write it as text, number or time."),
        ([pl.exclude("id"), pl.lit(b"1").alias("id")], "the column id is Binary. Write it as text, number or time."),
        ([pl.exclude("id"), pl.lit(timedelta(1)).alias("id")], "the column id is Duration(time_unit='us'). Write it "),
    ],
    ids=["missing", "struct", "list", "binary", "duration"],
)
def test_parquet_with_other_columns_holds_back_its_day(
    command: Command, sample: tuple[str, ...], rows: Rows, columns: list[pl.Expr], message: str
) -> None:
    trips = pl.read_csv(f"{PATH}.csv").select(columns)
    Path(f"{PATH}.csv").unlink()
    for length in (0, 1):
        trips.head(length).write_parquet(f"{PATH}.parquet")
        ended = command("--trips", "given/trips", *sample[2:])
        assert f"2026-01-02: held back: {PATH}.parquet: {message}" in ended.out
        assert (ended.code, rows()) == (1, [*expected(1), *expected(3)])


def test_invalid_parquet_holds_back_its_day(command: Command, sample: tuple[str, ...]) -> None:
    Path("given/ratings/2026-01-02.parquet").write_text("upstream connect error")
    ended = command(*sample)
    assert "/ratings/2026-01-02.parquet cannot be read: " in ended.out
    assert (ended.code, "2 of 3 days are done." in ended.out) == (1, True)


def test_folder_named_as_a_file_holds_back_its_day(command: Command, sample: tuple[str, ...]) -> None:
    Path(f"{PATH}.csv").unlink()
    Path(f"{PATH}.csv").mkdir()
    ended = command(*sample)
    assert "/trips/2026-01-02.csv cannot be read: Is a directory.\n" in ended.out
    assert (ended.code, "2 of 3 days are done." in ended.out) == (1, True)


@pytest.mark.parametrize(
    "content",
    [
        f"{TEXT}\n",
        f"\n{HEADER}\n\n{ROW}\n\n\n",
        f"{TEXT}\n".replace("\n", "\r\n"),
        f"\ufeff{TEXT}",
        TEXT.replace("A", '"A"'),
        f"more,{HEADER},more\nx,{ROW},x\n",
    ],
    ids=repr,
)
def test_blank_lines_and_byte_order_mark_are_ignored(
    command: Command, sample: tuple[str, ...], rows: Rows, content: str
) -> None:
    Path(f"{PATH}.csv").write_bytes(content.encode())
    assert "2026-01-02: 1 trips (0 rejected), " in command(*sample).out
    assert [row[1:4] for row in rows() if str(row[0]) == "2026-01-02"] == [("A", 1, 5)]


@pytest.mark.parametrize(
    "value",
    [None, 1.5, Decimal("1.5"), True, date(2026, 1, 1), datetime(2026, 1, 1), "x"],  # noqa: DTZ001 -- without a zone
    ids=repr,
)
def test_parquet_column_of_wrong_type_is_rejected(command: Command, sample: tuple[str, ...], value: object) -> None:
    trips = pl.read_csv(f"{PATH}.csv").with_columns(meters=pl.lit(value))
    Path(f"{PATH}.csv").unlink()
    trips.write_parquet(f"{PATH}.parquet")
    ended = command(*sample, "--day", "2026-01-02")
    assert ended.code == 65
    assert "200 of 200 trips are rejected, more than --allowed 0.05: meters is " in ended.out
