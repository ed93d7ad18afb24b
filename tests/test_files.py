"""Outputs are whole or not there at all, and are refused in one sentence."""

import errno
import os
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from dialog_policy import files
from dialog_policy.errors import OptionError
from dialog_policy.files import (
    atomic_folder,
    atomic_write,
    check_output,
    output_folder,
    recover_folder,
    replace_folder,
)
from dialog_policy.files import folder as folder_module

posix = pytest.mark.skipif(os.name != "posix", reason="signals, pipes and permissions of POSIX")


def write(path: object, content: bytes = b"new") -> None:
    with atomic_write(path) as file:
        file.write(content)


def refusal(path: object, content: bytes = b"new") -> str:
    with pytest.raises(OptionError) as caught:
        write(path, content)
    return str(caught.value)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def run(code: str, *arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, check=False, **options
    )


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert refusal(tmp_path / "out") == (
        f"{tmp_path}/out is a folder: expected the name of a file to write. Name a file in it."
    )
    assert "is a folder" in refusal(f"{tmp_path}/new/")
    assert names(tmp_path) == ["out"]


def test_one_missing_folder_is_made_and_goes_again_if_nothing_is_written(tmp_path: Path) -> None:
    write(tmp_path / "made" / "file")
    assert (tmp_path / "made" / "file").read_bytes() == b"new"
    with pytest.raises(KeyError), atomic_write(tmp_path / "other" / "file"):
        raise KeyError
    assert names(tmp_path) == ["made"]


def test_two_missing_folders_are_a_mistake(tmp_path: Path) -> None:
    assert refusal(tmp_path / "a" / "b" / "file") == (
        f"{tmp_path}/a/b/file cannot be written: the folder {tmp_path}/a does not exist. "
        "Make it first, or correct the path."
    )
    assert names(tmp_path) == []


def test_a_file_in_the_path_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("mine")
    assert f"{tmp_path}/notes is a file, not a folder" in refusal(tmp_path / "notes" / "file")
    assert (tmp_path / "notes").read_text() == "mine"


@posix
def test_read_only_places_are_refused() -> None:
    code = (
        "import os, sys\nfrom dialog_policy.errors import OptionError\nfrom dialog_policy.files import atomic_write\n"
        "if os.geteuid() == 0:\n    os.setgid(65_534)\n    os.setuid(65_534)  # root may write everything\n"
        "for path in sys.argv[1:]:\n"
        "    try:\n        atomic_write(path).__enter__()\n    except OptionError as error:\n        print(error)\n"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(os.path.realpath(name))
        folder.chmod(0o755)
        (folder / "closed").mkdir(mode=0o555)
        (folder / "open").mkdir()
        (folder / "open").chmod(0o777)
        (folder / "open" / "kept").write_text("mine")
        (folder / "open" / "kept").chmod(0o444)
        done = run(code, folder / "closed" / "file", folder / "open" / "kept")
        lines = done.stdout.splitlines()
        assert len(lines) == 2, done.stderr
        assert f"{folder}/closed is read-only" in lines[0]
        assert f"{folder}/open/kept is read-only" in lines[1]
        assert names(folder / "open") == ["kept"]
        assert (folder / "open" / "kept").read_text() == "mine"


@posix
def test_a_full_disk_is_one_sentence() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    message = "/dev/full cannot be written: the disk is full. Free some space, or write to another disk."
    assert refusal("/dev/full") == message
    assert refusal("/dev/full", bytes(1 << 20)) == message


@posix
def test_nothing_is_left_of_what_was_too_large(tmp_path: Path) -> None:
    write(tmp_path / "file", b"old")
    code = (
        "import resource, sys\nfrom dialog_policy.errors import OptionError\nfrom dialog_policy.files import atomic_write\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try:\n    with atomic_write(sys.argv[1]) as file:\n        file.write(bytes(100_000))\n"
        "except OptionError as error:\n    print(error)\n"
    )
    done = run(code, tmp_path / "file")
    assert f"{tmp_path}/file cannot be written: the file is larger" in done.stdout, done.stderr
    assert (tmp_path / "file").read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


def test_an_error_in_the_block_is_passed_on_as_it_is(tmp_path: Path) -> None:
    """A corpus that cannot be read while it is converted is not the output's fault."""
    with pytest.raises(FileNotFoundError), atomic_write(tmp_path / "file"):
        (tmp_path / "missing").read_bytes()
    assert names(tmp_path) == []


@posix
def test_a_link_stays_and_its_target_is_written(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there/file")
    for content in (b"first", b"second"):
        write(tmp_path / "link", content)
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "there" / "file").read_bytes() == content
    (tmp_path / "loop").symlink_to("loop")
    assert "its symbolic links form a circle" in refusal(tmp_path / "loop")
    assert (tmp_path / "loop").is_symlink()


@posix
def test_permissions_of_an_existing_file_stay_and_new_ones_follow_the_umask(tmp_path: Path) -> None:
    write(tmp_path / "file")
    before = os.umask(0o022)
    os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o666 & ~before
    (tmp_path / "file").chmod(0o640)
    write(tmp_path / "file")
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


@posix
def test_nobody_reads_a_private_file_while_it_is_rewritten(tmp_path: Path) -> None:
    write(tmp_path / "file")
    (tmp_path / "file").chmod(0o600)
    with atomic_write(tmp_path / "file") as file:
        file.write(b"secret")
        file.flush()
        assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}


@posix
def test_pipes_and_devices_are_written_through(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    received: list[bytes] = []
    reader = threading.Thread(target=lambda: received.append(pipe.read_bytes()))
    reader.start()
    write(pipe, b"through")
    reader.join()
    assert received == [b"through"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    write(os.devnull)
    assert not Path(os.devnull).is_file()


@posix
def test_redirected_standard_output_is_not_replaced(tmp_path: Path) -> None:
    code = (
        "from dialog_policy.files import atomic_write\nwith atomic_write('/dev/stdout') as file:\n    file.write(b'x')\n"
        "print('y')"
    )
    with open(tmp_path / "file", "ab") as file:
        subprocess.run([sys.executable, "-c", code], stdout=file, check=True)
    assert (tmp_path / "file").read_bytes() == b"xy\n"


@posix
@pytest.mark.parametrize("function", ["atomic_write", "atomic_folder"])
def test_what_a_killed_process_left_is_removed(tmp_path: Path, function: str) -> None:
    code = (
        f"import sys, time\nfrom dialog_policy.files import {function} as opened\n"
        "with opened(sys.argv[1]):\n    print('ready', flush=True)\n    time.sleep(600)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "out")], stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    with getattr(files, function)(tmp_path / "out"):
        assert len(names(tmp_path)) == 2, "that of a living process is not touched"
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    assert len(names(tmp_path)) == 2
    with getattr(files, function)(tmp_path / "out"):
        assert len([name for name in names(tmp_path) if name.endswith(".partial")]) == 1
    assert names(tmp_path) == ["out"]


def test_checking_makes_nothing(tmp_path: Path) -> None:
    check_output(tmp_path / "new" / "file")
    check_output(tmp_path / "new" / "folder", folder=True)
    assert names(tmp_path) == []


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for opened in (output_folder, lambda path: atomic_folder(path).__enter__()):
        with pytest.raises(OptionError, match="is a file: expected the name of a folder"):
            opened(tmp_path / "file")
    assert output_folder(tmp_path / "new" / "folder").is_dir()


def test_a_folder_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    for name in ("one", "two"):
        with atomic_folder(tmp_path / "folder") as folder:
            (folder / name).write_text(name)
    assert names(tmp_path / "folder") == ["two"]
    with pytest.raises(FileNotFoundError), atomic_folder(tmp_path / "folder") as folder:
        (folder / "three").write_bytes((folder / "missing").read_bytes())
    assert names(tmp_path / "folder") == ["two"]
    assert names(tmp_path) == ["folder"]


def test_a_folder_is_replaced_where_names_cannot_be_exchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_module, "exchange_folders", lambda one, other: False)
    test_a_folder_is_replaced_whole_or_not_at_all(tmp_path)


def test_a_folder_that_lost_its_name_is_recovered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a process leaves it that was killed between two renames."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "old").touch()
    (tmp_path / "made").mkdir()
    monkeypatch.setattr(folder_module, "exchange_folders", lambda one, other: False)
    renamed = os.rename

    def killed(source: Path, target: Path) -> None:
        if Path(source).name == "made":
            raise KeyboardInterrupt
        renamed(source, target)

    monkeypatch.setattr(os, "rename", killed)
    with pytest.raises(KeyboardInterrupt):
        replace_folder(tmp_path / "made", tmp_path / "run")
    monkeypatch.undo()
    assert not (tmp_path / "run").exists()
    recover_folder(tmp_path / "run")
    assert names(tmp_path / "run") == ["old"]
    assert names(tmp_path) == ["made", "run"]


@posix
def test_names_are_exchanged_in_one_step(tmp_path: Path) -> None:
    """Whoever looks while a folder is replaced again and again always sees one."""
    if not sys.platform.startswith(("linux", "darwin")):
        pytest.skip("the system cannot")
    with atomic_folder(tmp_path / "run") as folder:
        (folder / "file").touch()
    missing, done = [], threading.Event()

    def look() -> None:
        while not done.is_set():
            if not (tmp_path / "run").exists():
                missing.append(True)

    looking = threading.Thread(target=look)
    looking.start()
    for _ in range(50):
        with atomic_folder(tmp_path / "run") as folder:
            (folder / "file").touch()
    done.set()
    looking.join()
    assert not missing


def test_a_folder_is_copied_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, place = tmp_path / "source", tmp_path / "place"
    (source / "inner").mkdir(parents=True)
    (source / "inner" / "file").write_text("new")
    (source / "inner" / "file").chmod(0o600)
    files.copy_folder(source, place)
    assert (place / "inner" / "file").read_text() == "new"
    if os.name == "posix":
        assert (place / "inner" / "file").stat().st_mode & 0o777 == 0o600
    (place / "inner" / "file").write_text("old")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("shutil.copy2", full)
    with pytest.raises(OptionError, match="place cannot be written: the disk is full"):
        files.copy_folder(source, place)
    assert (place / "inner" / "file").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["place", "source"]


@pytest.mark.parametrize(
    ("arguments", "is_about"),
    [
        ((errno.ENOSPC, ""), True),
        ((errno.EACCES, ""), True),
        ((errno.EPIPE, ""), False),
        ((errno.EACCES, "", "folder/inner/file"), True),
        ((errno.EACCES, "", "corpus.jsonl"), False),
    ],
)
def test_errors_about_something_else_pass(arguments: tuple[object, ...], is_about: bool) -> None:
    with pytest.raises(OptionError if is_about else OSError), files.refusals(Path("folder"), of_disk=True):
        raise OSError(*arguments)
