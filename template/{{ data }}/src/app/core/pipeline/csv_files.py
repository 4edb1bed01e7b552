"""Errors in CSV files, with file, line and advice. The error messages of Polars have neither file nor line."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from app.core.pipeline.definition import Input
from app.core.pipeline.errors import MalformedError

MAX_HEADER_BYTES = 65_536
MAX_SHOWN = 80
"""Maximum number of characters of a line in an error message."""

SIGNATURES = {
    b"\xff\xfe": "UTF-16: save it as UTF-8",
    b"\xfe\xff": "UTF-16: save it as UTF-8",
    b"\x1f\x8b": "compressed by gzip: unpack it",
    b"\x28\xb5\x2f\xfd": "compressed by zstd: unpack it",
    b"PK\x03\x04": "a ZIP archive or a workbook: save it as CSV",
    b"PAR1": "Parquet: name it .parquet",
}
SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}
QUOTING = "Quote the whole field, and double the quotation marks in it."
ADVICE = {
    "new-line character": "A carriage return (CR) stands alone: end lines with LF or CRLF, and quote other fields.",
    "unexpected end of data": "The quotation mark that begins a field is not closed.",
    "field larger": "A field is longer than 131,072 characters: close the quotation mark that begins it.",
}
"""Advice for each message of `csv.Error`, by the start of the message."""


class Record(NamedTuple):
    line: int
    text: str
    fields: list[str]


def check_header(path: Path, given: Input) -> None:
    """Raise MalformedError unless the first line names each column of `given` once."""
    with path.open("rb") as file:
        start = file.read(MAX_HEADER_BYTES)
    for signature, found in SIGNATURES.items():
        if start.startswith(signature):
            raise MalformedError(f"{path} is {found}.")
    first_line, newline, _ = start.lstrip(b"\r\n").partition(b"\n")
    if b"\0" in first_line:
        raise MalformedError(f"{path} is binary or UTF-16: save it as CSV in UTF-8.")
    if b"\r" in first_line.rstrip(b"\r") and not newline:
        raise MalformedError(f"{path} ends its lines with a carriage return (CR) alone: use LF or CRLF.")
    header = next((record for record in _records(path) if record.fields), None)
    if header is None:
        raise MalformedError(f"{path} is empty: a day without rows needs a header, {','.join(given.columns)}.")
    if fault := describe_columns(header.fields, given):
        used = [name for separator, name in SEPARATORS.items() if separator in header.text]
        separated = len(header.fields) == 1 and used
        advice = f"Separate columns by commas, not {used[0]}." if separated else f"Expected: {','.join(given.columns)}."
        raise _malformed(path, header.line, fault, header.text, advice)


def describe_columns(found: list[str], given: Input) -> str:
    """Return an error message for missing or repeated columns of `given`, or ""."""
    if missing := [name for name in given.columns if name not in found]:
        return f"no column {', '.join(missing)}"
    if twice := [name for name in given.columns if found.count(name) > 1]:
        return f"more than one column {', '.join(twice)}"
    return ""


def find_fault(path: Path) -> MalformedError | None:
    """Return an error for the first line that is not valid CSV or has more fields than the header, or None."""
    records = _records(path)
    try:
        header = next(record for record in records if record.fields)
        for record in records:
            if len(record.fields) > len(header.fields):
                fault = f"{len(record.fields)} fields, but the header has {len(header.fields)}"
                return _malformed(path, record.line, fault, record.text, "Quote fields that contain commas.")
            if record.text.count('"') % 2:
                return _malformed(path, record.line, "a quotation mark inside a field", record.text, QUOTING)
    except MalformedError as error:
        return error
    return None


def _records(path: Path) -> Iterator[Record]:
    lines: list[str] = []

    def decoded() -> Iterator[str]:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    lines.append(line.decode("utf-8-sig" if number == 1 else "utf-8"))
                except UnicodeDecodeError as error:
                    fault = f"the byte 0x{line[error.start]:02x} is not UTF-8"
                    text = line.decode("latin-1")
                    raise _malformed(path, number, fault, text, "Save the file as UTF-8.") from None
                yield lines[-1]

    reader = csv.reader(decoded(), strict=True)
    while True:
        number = reader.line_num + 1
        lines.clear()
        try:
            fields = next(reader, None)
        except csv.Error as error:
            advice = next((text for start, text in ADVICE.items() if str(error).startswith(start)), QUOTING)
            raise _malformed(path, number, "not CSV", "".join(lines), advice) from None
        if fields is None:
            return
        yield Record(number, "".join(lines), fields)


def _malformed(path: Path, line: int, fault: str, text: str, advice: str) -> MalformedError:
    text = text.rstrip("\r\n")
    shown = repr(text[:MAX_SHOWN]) + ("…" if len(text) > MAX_SHOWN else "")
    return MalformedError(f"{path}, line {line}: {fault}; found {shown}. {advice}")
