"""``serve``."""

from __future__ import annotations

import ipaddress
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dialog_policy.cli.options import Command, FiniteRange, corpus_options, read_corpus
from dialog_policy.errors import OptionError, require
from dialog_policy.files import check_output

if TYPE_CHECKING:
    from dialog_policy.corpus import Corpus
    from dialog_policy.serving.runs import Runs
    from dialog_policy.serving.training import Retraining

__all__ = ["serve"]

_TOKEN, _STORE = "DIALOG_POLICY_TOKEN", "DIALOG_POLICY_STORE"
_SENDABLE = re.compile(r"[!-~]+")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@click.command(cls=Command)
@click.argument("run", nargs=-1, required=True)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    default=8000,
    show_default=True,
    type=click.IntRange(0, 65_535),
    help="Port to listen on; 0: any free port.",
)
@click.option(
    "--store",
    metavar="FILE|URL|memory",
    envvar=_STORE,
    help="Where sessions are kept: an SQLite file; redis://HOST:PORT/DB or postgresql://USER@HOST:PORT/DATABASE "
    f"to share sessions between servers; or memory. Set a URL with a password as ${_STORE} instead.  "
    "[default: the file RUN.sessions.sqlite beside the first run]",
)
@click.option(
    "--corpus",
    multiple=True,
    metavar="CORPUS",
    help="Let clients browse this corpus, save dialogues and retrain. Repeat the option if the run was trained on several corpora.",
)
@click.option(
    "--save",
    metavar="FILE",
    help="JSON Lines file or table to which saved dialogues are added.  [default: RUN.saved.jsonl]",
)
@click.option(
    "--token-file",
    metavar="FILE",
    help=f"File with the token that clients must send; or set ${_TOKEN}. Required unless --host is a loopback address.",
)
@click.option(
    "--allow-host",
    multiple=True,
    metavar="NAME",
    help="Another host name that requests may be addressed to. On a loopback address, localhost is always allowed.",
)
@click.option(
    "--proxy",
    multiple=True,
    metavar="ADDRESS",
    help="Address or network of a proxy in front of this server. X-Forwarded-For headers from other addresses are ignored.",
)
@click.option(
    "--max-sessions",
    default=100_000,
    show_default=True,
    type=click.IntRange(1),
    help="Maximum number of sessions at a time.",
)
@click.option(
    "--max-turns", default=500, show_default=True, type=click.IntRange(1), help="Maximum number of turns in a session."
)
@click.option(
    "--max-utterance",
    default=2_000,
    show_default=True,
    type=click.IntRange(1),
    help="Maximum number of characters in an utterance.",
)
@click.option(
    "--max-body", default=65_536, show_default=True, type=click.IntRange(1), help="Maximum size of a request in bytes."
)
@click.option(
    "--rate",
    default=200.0,
    show_default=True,
    type=FiniteRange(0),
    help="Maximum number of requests per second from one address; 0: no limit.",
)
@click.option(
    "--expire",
    default=168.0,
    show_default=True,
    type=FiniteRange(0, min_open=True),
    help="Hours without a turn after which a session is deleted.",
)
@click.option("--log-text", is_flag=True, help="Log what users and the system say.")
@corpus_options
def serve(
    run: tuple[str, ...],
    host: str,
    port: int,
    store: str | None,
    corpus: tuple[str, ...],
    save: str | None,
    token_file: str | None,
    allow_host: tuple[str, ...],
    proxy: tuple[str, ...],
    max_sessions: int,
    max_turns: int,
    max_utterance: int,
    max_body: int,
    rate: float,
    expire: float,
    log_text: bool,
    format_: str | None,
    reader: tuple[str, ...],
) -> None:
    """Serve one or several runs over HTTP, with a chat page. Name each as RUN or NAME=RUN.

    Needs the extra `serve`. The HTTP API is described in docs/server.md and in /openapi.json of the running server.
    """
    for module in ("fastapi", "uvicorn", "prometheus_client", "pythonjsonlogger"):
        require(module, extra="serve", purpose="the server")
    from dialog_policy.serving.app import create_app
    from dialog_policy.serving.runs import Runs, name_runs
    from dialog_policy.serving.server import serve as run_server
    from dialog_policy.serving.settings import Settings
    from dialog_policy.serving.stores import open_store

    token = _read_token(token_file)
    _check_proxies(proxy)
    is_local = _is_loopback(host)
    if token is None and not is_local:
        raise OptionError(
            f"other machines can reach {host}, so the server needs a token that clients must send. Give it by --token-file FILE or ${_TOKEN}."
        )
    if not corpus and save is not None:
        raise OptionError("--save needs --corpus, because without a corpus no dialogues are saved.")
    paths = name_runs(run)
    first = next(iter(paths.values())).resolve()
    saved = Path(save) if save else first.with_name(f"{first.name}.saved.jsonl")
    if corpus:
        check_output(saved)
    runs = Runs(paths)
    settings = Settings(
        token=token,
        hosts=frozenset(name.lower() for name in (*allow_host, *((*_LOOPBACK, host) if is_local else ()))),
        max_body=max_body,
        max_utterance=max_utterance,
        max_turns=max_turns,
        max_sessions=max_sessions,
        rate=rate,
        expire_s=expire * 3600,
        log_text=log_text,
    )
    dialogues, retraining = _corpus(corpus, format_, reader, saved, runs) if corpus else (None, None)
    session_store = open_store((store or "").strip() or str(first.with_name(f"{first.name}.sessions.sqlite")))
    app = create_app(runs, session_store, settings, corpus=dialogues, retraining=retraining)
    run_server(app, host, port, proxy)


def _corpus(
    paths: tuple[str, ...], format_: str | None, reader: tuple[str, ...], saved: Path, runs: Runs
) -> tuple[Corpus, Retraining]:
    from dialog_policy.corpus.readers import readers
    from dialog_policy.serving.training import CorpusSource, Retraining

    corpus = read_corpus(paths, format_, reader, runs.default.policy.info["corpus"])
    # Several corpora of different formats are recognised again, one by one.
    format_ = corpus.format if corpus.format in readers() else None
    return corpus, Retraining(CorpusSource(list(paths), format_, dict(corpus.reader_options)), saved)


def _read_token(path: str | None) -> str | None:
    if path is None:
        # A secret that was made from a file has the end of its line.
        place, token = f"${_TOKEN}", os.environ.get(_TOKEN, "").strip()
        if not token:
            return None
    else:
        place = f"--token-file: {path}"
        try:
            token = Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise OptionError(f"{place} cannot be read ({error}).") from None
        if not token:
            raise OptionError(f"{place} is empty.")
    if not _SENDABLE.fullmatch(token):
        # Said without the token, which is secret.
        raise OptionError(
            f"{place}: expected one word of printable ASCII characters, which is what clients can send as a token; found other "
            "characters or several words."
        )
    return token


def _check_proxies(proxies: tuple[str, ...]) -> None:
    for proxy in proxies:
        try:
            ipaddress.ip_network(proxy)
        except ValueError as error:
            raise OptionError(
                f"--proxy: expected an address or a network, such as 127.0.0.1 or 10.0.0.0/8; found {proxy!r} ({error})."
            ) from None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
