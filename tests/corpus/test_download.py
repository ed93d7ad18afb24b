import hashlib
import json
import sys
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest

from dialog_policy.corpus.download import catalogue, download
from dialog_policy.corpus.readers import readers
from dialog_policy.errors import CorpusError, MissingExtraError, OptionError

pytest.importorskip("pooch")

CONTENT = {"one/a.jsonl": b'{"id": "a", "turns": []}\n' * 5000, "two/x/b.json": b"[]", "two/c.json": b"{}"}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.requests.append(self.path)
        body = CONTENT.get(self.path.lstrip("/"))
        if self.path in self.server.missing or body is None:
            self.send_error(404)
            return
        if self.path in self.server.wrong:
            body = body.replace(b"a", b"z") + b" "
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if self.path in self.server.cut else body)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.requests, running.missing, running.wrong, running.cut = [], set(), set(), set()
        running.address = f"http://127.0.0.1:{running.server_port}"
        thread = threading.Thread(target=running.serve_forever, args=(0.02,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def entry(address, name):
    prefix = f"{name}/"
    hashes = {f.removeprefix(prefix): hashlib.sha256(c).hexdigest() for f, c in CONTENT.items() if f.startswith(prefix)}
    about = {"title": name, "licence": "CC0", "citation": "Us", "homepage": "http://example.org", "format": "jsonl"}
    return {**about, "url": f"{address}/{name}/{{file}}", "files": hashes}


@pytest.fixture
def known(server, tmp_path):
    path = tmp_path / "catalogue.json"
    path.write_text(json.dumps({name: entry(server.address, name) for name in ("one", "two")}))
    return catalogue(path)


def files(folder):
    return {p.relative_to(folder).as_posix() for p in Path(folder).rglob("*") if p.is_file()}


def test_a_corpus_is_fetched_once(server, known, tmp_path):
    path = download("one", cache=tmp_path / "cache", known=known)
    assert path == tmp_path / "cache" / "one" / "a.jsonl"
    assert path.read_bytes() == CONTENT["one/a.jsonl"]
    assert download("one", cache=tmp_path / "cache", known=known) == path
    assert server.requests == ["/one/a.jsonl"]


def test_several_files_make_a_folder(known, tmp_path, monkeypatch):
    monkeypatch.setenv("DIALOG_POLICY_CACHE", str(tmp_path / "by environment"))
    path = download("two", known=known)
    assert path == tmp_path / "by environment" / "two"
    assert files(path) == {"x/b.json", "c.json"}


def test_the_cache_is_the_one_of_everything_else(known, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv("DIALOG_POLICY_CACHE", "~/corpora")
    assert download("one", known=known) == tmp_path / "corpora" / "one" / "a.jsonl"
    monkeypatch.setenv("DIALOG_POLICY_CACHE", "")
    with pytest.raises(OptionError, match=r"DIALOG_POLICY_CACHE is empty.*--cache FOLDER"):
        download("one", known=known)


def test_a_mirror_instead_of_the_pinned_address(server, known, tmp_path):
    away = {"one": msgspec.structs.replace(known["one"], url="http://127.0.0.1:9/{file}")}
    with pytest.raises(CorpusError, match="the connection failed"):
        download("one", cache=tmp_path / "c", known=away)
    assert download("one", cache=tmp_path / "c", known=away, mirror=f"{server.address}/").exists()


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("missing", "the server answered 404 .*http://example.org"),
        ("wrong", "checksum mismatch: the SHA-256 of the file is not .* deleted"),
        ("cut", "the connection failed: .*nothing half-written"),
    ],
)
def test_what_goes_wrong_is_said_and_leaves_nothing_behind(server, known, tmp_path, fault, message):
    getattr(server, fault).add("/one/a.jsonl")
    with pytest.raises(CorpusError, match=f"/one/a.jsonl: {message}"):
        download("one", cache=tmp_path / "cache", known=known)
    assert files(tmp_path / "cache") == set()
    getattr(server, fault).clear()
    assert download("one", cache=tmp_path / "cache", known=known).read_bytes() == CONTENT["one/a.jsonl"]


def test_what_is_complete_is_kept_and_what_was_damaged_is_fetched_again(server, known, tmp_path):
    server.missing.add("/two/c.json")
    with pytest.raises(CorpusError, match="404"):
        download("two", cache=tmp_path, known=known)
    server.missing.clear()
    assert files(tmp_path / "two") == {"x/b.json"}
    (tmp_path / "two" / "x" / "b.json").write_bytes(b"[")
    download("two", cache=tmp_path, known=known)
    assert (tmp_path / "two" / "x" / "b.json").read_bytes() == b"[]"


def test_no_progress_where_nobody_looks(known, tmp_path, capfd):
    download("one", cache=tmp_path, known=known)
    download("two", cache=tmp_path, known=known)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("name", "label"), [("one", "a.jsonl:"), ("two", "two:")])
def test_progress_on_a_terminal_is_wiped_at_the_end(known, tmp_path, monkeypatch, capsys, server, name, label):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    server.cut.update(f"/{file}" for file in CONTENT)
    with pytest.raises(CorpusError):
        download(name, cache=tmp_path, known=known)
    server.cut.clear()
    download(name, cache=tmp_path, known=known)
    shown = capsys.readouterr().err
    assert shown.count(f"\r{label}") >= 2
    assert shown.split("\r")[-1].strip() == ""


def test_an_unknown_name(known):
    with pytest.raises(OptionError, match=r"there is no corpus 'on'; known: one, two\. Did you mean 'one'"):
        download("on", known=known)


def test_without_pooch_it_says_how_to_get_it(known, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(MissingExtraError, match=r"dialog-policy\[download\]"):
        download("one", cache=tmp_path, known=known)


def test_our_catalogue_is_complete():
    for name, entry in catalogue().items():
        assert entry.format in readers(), name
        assert entry.url.startswith(("https://", "http://"))
        assert "{file}" in entry.url
        assert all((entry.title, entry.licence, entry.citation, entry.homepage, entry.sha256_from))


def test_the_hashes_of_sgd_are_those_of_the_files(public_corpora):
    expected = catalogue()["sgd"].files
    with zipfile.ZipFile(public_corpora("sgd.zip")) as archive:
        for member in ("sgd/dev/dialogues_001.json", "sgd/train/schema.json"):
            assert hashlib.sha256(archive.read(member)).hexdigest() == expected[member.removeprefix("sgd/")]


@pytest.mark.parametrize(
    "change",
    [
        {"files": {}},
        {"files": {"../a": "0" * 64}},
        {"files": {"/etc/a": "0" * 64}},
        {"files": {"a": "sha"}},
        {"url": 3},
        {"more": 1},
    ],
)
def test_a_catalogue_that_is_none(tmp_path, change):
    (tmp_path / "c.json").write_text(json.dumps({"one": entry("http://127.0.0.1", "one") | change}))
    with pytest.raises(OptionError):
        catalogue(tmp_path / "c.json")
    (tmp_path / "c.json").write_text(json.dumps({"../one": entry("http://127.0.0.1", "one")}))
    with pytest.raises(OptionError, match="plain file names"):
        catalogue(tmp_path / "c.json")
    with pytest.raises(OptionError, match="cannot be read"):
        catalogue(tmp_path / "none.json")
