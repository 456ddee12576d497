"""From CSV bytes to a table, refusing what would be read wrongly rather than guessing.

pyarrow's parser instead of pandas' own: it refuses short rows (pandas fills them up silently),
infers types over the whole file when given one block, and runs here in one thread.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

import pandas as pd
import pyarrow as pa
import pyarrow.csv

from marea.errors import PermanentError
from marea.pipelines.guards import check_not_empty, describe_content

DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|"}

_BOM = b"\xef\xbb\xbf"


def read_table(data: bytes, *, delimiter: str, max_columns: int) -> tuple[pd.DataFrame, str]:
    """The table, its columns in Arrow types and with unique names, and the delimiter found.

    `delimiter` is a name of `DELIMITERS`, or `auto`: the most frequent in the first line.
    Raises `PermanentError` (`file-empty`, `unsupported-format`, `csv-not-utf8`,
    `csv-has-nul-bytes`, `csv-unparsable`, `too-many-columns`).
    """
    check_not_empty(data)
    _check_text(data)
    text = data.removeprefix(_BOM).lstrip(b"\r\n")
    if not text.strip():
        raise _unparsable("it has no header line")
    separator = _delimiter(text) if delimiter == "auto" else DELIMITERS[delimiter]
    header = _header(text, separator)
    if len(header) > max_columns:
        raise PermanentError(
            f"the table has {len(header):,} columns and the limit is {max_columns:,}; upload"
            " fewer columns, or raise max_columns in the pipeline's limits",
            code="too-many-columns",
        )
    if not text.endswith((b"\n", b"\r")):
        text += b"\n"  # pyarrow takes a lone header without an end of line for an empty file.
    table = _parsed(text, separator)
    _check_quotes(text, table)
    frame = table.rename_columns(_unique(header)).to_pandas(
        types_mapper=pd.ArrowDtype, use_threads=False
    )
    return frame, separator


def _check_text(data: bytes) -> None:
    looks_like = describe_content(data)
    if looks_like == "UTF-16 text":
        raise PermanentError(
            'the file is UTF-16 text (Excel\'s "Unicode text"); save it as CSV UTF-8',
            code="csv-not-utf8",
        )
    nul = data.find(b"\x00")
    wrong_byte = _first_wrong_byte(data)
    # A header may well start with ID3 or MZ: magic bytes count where the rest is no text, or
    # where no table starts like this.
    is_text = nul < 0 and wrong_byte is None
    if not is_text and looks_like not in ("plain text", "an unknown binary file"):
        raise _unsupported(looks_like)
    if is_text and looks_like in ("an HTML page", "an XML document"):
        raise _unsupported(looks_like)
    if nul >= 0:
        raise PermanentError(
            f"the file has a NUL byte at offset {nul:,}, which no text has; export it again as"
            " CSV UTF-8",
            code="csv-has-nul-bytes",
        )
    if wrong_byte is not None:
        line = data.count(b"\n", 0, wrong_byte) + 1
        raise PermanentError(
            f"the file is not UTF-8: byte 0x{data[wrong_byte]:02x} in line {line:,}; save it as"
            " CSV UTF-8",
            code="csv-not-utf8",
        )


def _first_wrong_byte(data: bytes) -> int | None:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as exc:
        return exc.start
    return None


def _unsupported(looks_like: str) -> PermanentError:
    return PermanentError(
        f"the file looks like {looks_like}, not like CSV; unpack or export it as CSV",
        code="unsupported-format",
    )


def _delimiter(text: bytes) -> str:
    first = text.splitlines()[0].decode("utf-8", "replace") if text else ""
    outside_quotes = "".join(first.split('"')[::2])
    return max(DELIMITERS.values(), key=outside_quotes.count)


def _header(text: bytes, separator: str) -> list[str]:
    stream = io.TextIOWrapper(io.BytesIO(text), encoding="utf-8", newline="")
    try:
        return next(csv.reader(stream, delimiter=separator))
    except (csv.Error, StopIteration) as exc:
        raise _unparsable(f"its header line cannot be read ({exc})") from exc


def _parsed(text: bytes, separator: str) -> pa.Table:
    try:
        return pyarrow.csv.read_csv(
            pa.BufferReader(text),
            # One block: types are inferred from the first block alone, and no row may be
            # longer than one.
            read_options=pyarrow.csv.ReadOptions(use_threads=False, block_size=len(text) + 1),
            parse_options=pyarrow.csv.ParseOptions(delimiter=separator, newlines_in_values=True),
            convert_options=pyarrow.csv.ConvertOptions(strings_can_be_null=True),
        )
    except (pa.ArrowInvalid, UnicodeDecodeError) as exc:
        raise _unparsable(str(exc).removeprefix("CSV parse error: ")) from exc


def _check_quotes(text: bytes, table: pa.Table) -> None:
    """An opening quotation mark that is never closed swallows the rest of the file: the last
    value then ends with the file's own last line end."""
    if text.count(b'"') % 2 == 0 or table.num_rows == 0:
        return
    last = table.column(table.num_columns - 1)[table.num_rows - 1].as_py()
    if isinstance(last, str) and last.endswith(("\n", "\r")):
        raise _unparsable("a quotation mark is opened and never closed")


def _unique(header: Sequence[str]) -> list[str]:
    """Names as given; an empty one becomes `column 3`, a repeated one gets ` (2)`."""
    names: list[str] = []
    taken: set[str] = set()
    for position, given in enumerate(header, start=1):
        name = given.strip() or f"column {position}"
        number, unique = 1, name
        while unique in taken:
            number += 1
            unique = f"{name} ({number})"
        taken.add(unique)
        names.append(unique)
    return names


def _unparsable(cause: str) -> PermanentError:
    return PermanentError(
        f"the file cannot be read as CSV: {cause:.300}; every row needs as many fields as the"
        " header",
        code="csv-unparsable",
    )
