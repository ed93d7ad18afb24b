"""Corpora at an address: the result of a SQL query, and Parquet in a bucket; rows are read as a stream, one row a turn.

Only the columns and the parts of the corpus that are asked for are fetched.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dialog_policy.corpus.bits import bit_names
from dialog_policy.corpus.cells import COLUMNS
from dialog_policy.corpus.readers.bit_columns import bit_columns
from dialog_policy.corpus.readers.named_rows import Row, Table
from dialog_policy.corpus.readers.reader import BITS, Opened, Option, Options, Reader
from dialog_policy.corpus.readers.source import Source
from dialog_policy.corpus.readers.table import COLUMN_OPTIONS, read_stream
from dialog_policy.errors import CorpusError, DialogPolicyError, OptionError, require

__all__ = ["READERS", "is_address", "name_of_address", "open_address", "reader_of"]

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://.*", re.DOTALL)
# A colon in a query that SQLAlchemy would take for the beginning of a parameter, as in '{"a":1}'.
_COLON = re.compile(r"(?<![:\w\\]):(?=\w)")
_VARIABLE = re.compile(r"\$\{(\w+)\}")
_QUERY = "SELECT * FROM turns ORDER BY dialogue_id, turn"
# Rows that are fetched together.
_TOGETHER = 10_000
_OPTIONS = {
    **COLUMN_OPTIONS,
    "bits": BITS,
    "splits": Option("", "parts of the corpus to fetch, such as train,dev; empty: all"),
    "extra": Option("", "further columns, which become fields of the dialogues, such as domain,language"),
}


def is_address(path: object) -> bool:
    """Whether what a user named as a corpus is an address such as ``postgresql://…`` or ``s3://…``, not a path."""
    return isinstance(path, str) and _ADDRESS.fullmatch(path) is not None


def _is_sql(address: str) -> bool:
    scheme = address.partition("://")[0].partition("+")[0]
    return scheme in ("sqlite", "postgresql", "mysql", "mariadb", "oracle", "mssql", "duckdb", "snowflake", "bigquery", "redshift", "trino", "databricks", "cockroachdb")  # fmt: skip


def name_of_address(address: str) -> str:
    """Return how an address is named in reports, runs and messages: without user, password and parameters."""
    scheme, _, rest = address.partition("://")
    place = rest.partition("?")[0]
    authority, slash, path = place.partition("/")
    return f"{scheme.partition('+')[0]}://{authority.rpartition('@')[2]}{slash}{path}"


def _filled(address: str) -> str:
    """Put the values of environment variables in the place of ``${NAME}``."""

    def value(match: re.Match[str]) -> str:
        found = os.environ.get(match[1])
        if found is None:
            raise OptionError(f"{name_of_address(address)}: there is no environment variable {match[1]}.")
        return found

    return _VARIABLE.sub(value, address)


def open_address(address: str, options: Options) -> Opened:
    """Open a corpus at an address.

    Parameters
    ----------
    address
        A SQLAlchemy URL, or the fsspec address of a Parquet file or of a folder with such files; ``${NAME}`` stands for an
        environment variable.
    options
        Of the reader.

    Raises
    ------
    CorpusError
        If it cannot be reached or has no such columns.
    OptionError
        If an environment variable is missing.
    MissingExtraError
        If a library is missing.
    """
    rows = _sql_rows if _is_sql(address) else _parquet_rows
    table = Table(name_of_address(address), lambda: rows(address, options), is_text=False)
    columns = {name: options[name] for name in COLUMNS}
    bits = bit_names(options["bits"])
    return Opened(
        lambda: read_stream(table, columns, bits, annotated=True),
        unannotated=lambda: read_stream(table, columns, bits, annotated=False),
    )


def _list(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


def _chosen(found: Sequence[str], options: Options, place: str) -> list[str]:
    """Return those of the columns that are there which are read."""
    bits = bit_columns(options["actions"], found, place)
    wanted = [options[name] for name in COLUMNS] + bits + _list(options["extra"])
    missing = [options[name] for name in ("dialogue_id", "actions") if options[name] not in found]
    missing = [name for name in missing if not (bits and name == options["actions"])]
    missing += [name for name in _list(options["extra"]) if name not in found]
    if missing:
        raise CorpusError(
            f"expected a column {missing[0]!r}, found: {', '.join(found)}.",
            path=place,
            remedy="Name the columns with --reader dialogue_id=COLUMN actions=COLUMN.",
        )
    return [name for name in dict.fromkeys(wanted) if name in found]


def _sql_rows(address: str, options: Options) -> Iterator[tuple[int, Row]]:
    sql = require("sqlalchemy", extra="sql", purpose="reading a SQL query")
    place = name_of_address(address)
    try:
        engine = sql.create_engine(_filled(address), hide_parameters=True)
    except (sql.exc.SQLAlchemyError, ImportError) as error:
        raise CorpusError(f"the database cannot be opened ({_without_secrets(error, address)}).", path=place) from None
    _check_file(engine.url, place)
    number = 0
    try:
        with engine.connect().execution_options(stream_results=True, yield_per=_TOGETHER) as connection:
            query, given = _pushed_down(sql, connection, options, place)
            for row in connection.execute(query, given).mappings():
                number += 1
                yield number, dict(row)
    except sql.exc.SQLAlchemyError as error:
        raise CorpusError(
            f"the query failed ({_without_secrets(error, address)}).",
            path=place,
            line=number or None,
            remedy="Give the query with --reader query='SELECT …': one row per turn, ordered by dialogue and turn.",
        ) from None
    finally:
        engine.dispose()


def _check_file(url: Any, place: str) -> None:
    """Refuse a database in a file that is not there: it would be made, and be empty."""
    name = url.database or ""
    is_file = url.get_backend_name() in ("sqlite", "duckdb") and not name.startswith((":memory:", "file:", "md:"))
    if name and is_file and not Path(name).exists():
        remedy = "sqlite:///logs.db is a file in this folder, sqlite:////data/logs.db has an absolute path."
        raise CorpusError(f"there is no file {str(Path(name).absolute())!r}.", path=place, remedy=remedy)


def _pushed_down(sql: Any, connection: Any, options: Options, place: str) -> tuple[Any, dict[str, str]]:
    """Return the query with only the columns and parts that are needed, in the order of dialogues and turns."""
    inner = _COLON.sub(r"\:", options["query"].strip().rstrip(";"))
    with connection.execute(sql.text(f"SELECT * FROM ({inner}) AS corpus WHERE 1 = 0")) as empty:
        found = list(empty.keys())
    names = _chosen(found, options, place)
    if (turn := options["turn"]) not in names:
        raise CorpusError(
            f"expected a column {turn!r}, found: {', '.join(found)}. Without it the order of a dialogue's turns is not known; the "
            "order of the query itself does not count.",
            path=place,
            remedy="Name a column with numbers or times, with --reader turn=COLUMN, or number the rows in the query: "
            "row_number() OVER (PARTITION BY … ORDER BY …) AS turn.",
        )
    quote = connection.dialect.identifier_preparer.quote
    listed = ", ".join(f"corpus.{quote(name)}" for name in names)
    given = {f"part{i}": part for i, part in enumerate(_list(options["splits"]))}
    where = f" WHERE corpus.{quote(options['split'])} IN ({', '.join(f':{key}' for key in given)})" if given else ""
    by = ", ".join(f"corpus.{quote(options[name])}" for name in ("dialogue_id", "turn"))
    return sql.text(f"SELECT {listed} FROM ({inner}) AS corpus{where} ORDER BY {by}"), given


def _without_secrets(error: Exception, address: str) -> str:
    """Return a message of a driver without what an address has of user, password and parameters."""
    message = str(getattr(error, "orig", None) or error).partition("\n")[0]
    authority, _, parameters = _filled(address).partition("://")[2].partition("?")
    credentials = authority.rpartition("@")[0]
    for secret in sorted({*credentials.split(":"), credentials, parameters} - {""}, key=len, reverse=True):
        message = message.replace(secret, "…")
    return message


def _parquet_rows(address: str, options: Options) -> Iterator[tuple[int, Row]]:
    fsspec = require("fsspec", extra="bucket", purpose="reading from an address")
    datasets = require("pyarrow.dataset", extra="parquet", purpose="reading Parquet")
    place = name_of_address(address)
    try:
        system, path = fsspec.core.url_to_fs(_filled(address))
        files = [path] if system.isfile(path) else sorted(f for f in system.find(path) if f.endswith(".parquet"))
    # What drivers of file systems raise for what cannot be reached is of every kind.
    except Exception as error:
        raise CorpusError(f"it cannot be reached ({_without_secrets(error, address)}).", path=place) from None
    if not files:
        raise CorpusError(
            "expected Parquet files, found none.",
            path=place,
            remedy="Download files in other formats, and name the copy.",
        )
    number = 0
    try:
        dataset = datasets.dataset(files, filesystem=system, format="parquet", partitioning="hive")
        names = _chosen(dataset.schema.names, options, place)
        parts = _list(options["splits"])
        where = datasets.field(options["split"]).isin(parts) if parts else None
        for fragment in dataset.get_fragments(where):
            batches = fragment.to_batches(schema=dataset.schema, columns=names, filter=where, batch_size=_TOGETHER)
            for batch in batches:
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
    except DialogPolicyError:
        raise
    # What pyarrow raises for damaged files is of every kind, such as UnicodeDecodeError.
    except Exception as error:
        message = _without_secrets(error, address)
        raise CorpusError(f"it cannot be read as Parquet ({message}).", path=place, line=number or None) from None


def _never(source: Source) -> bool:
    return False


def _not_a_path(source: Source, options: Options) -> Opened:
    raise OptionError(
        f"{source.path} is a path: expected an address such as sqlite:///dialogues.db or s3://bucket/folder."
    )


READERS: Mapping[str, Reader] = {
    "sql": Reader(
        "sql",
        "a SQL query at a SQLAlchemy URL, one row per turn, with the columns of a table (extra `sql`)",
        _never,
        _not_a_path,
        {**_OPTIONS, "query": Option(_QUERY, "the query", from_user_only=True)},
    ),
    "bucket": Reader(
        "bucket",
        "Parquet at an fsspec address such as s3://bucket/folder, one row per turn (extra `bucket`)",
        _never,
        _not_a_path,
        _OPTIONS,
    ),
}


def reader_of(address: str) -> Reader:
    """Return the reader of an address."""
    return READERS["sql" if _is_sql(address) else "bucket"]
