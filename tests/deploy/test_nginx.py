"""nginx before the workers answers as they do, also while there is none."""

import json
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.request

import pytest

from benchmarks.services import answers, free_port
from tests.conftest import REPOSITORY

SITE = REPOSITORY / "deploy" / "nginx" / "dialog-policy.conf"
_AROUND = REPOSITORY / "scripts" / "cluster" / "nginx.conf"


@pytest.fixture
def nginx(tmp_path):
    """Run nginx with the site, in front of ports at which nobody listens; yield its address."""
    program = shutil.which("nginx", path="/usr/local/sbin:/usr/sbin:/usr/local/bin:/usr/bin:/opt/homebrew/bin")
    if program is None:
        pytest.skip("nginx is not installed")
    port = free_port()
    site = SITE.read_text().replace("127.0.0.1:8080", f"127.0.0.1:{port}")
    site = re.sub(r"(server 127\.0\.0\.1):\d+", lambda found: f"{found[1]}:{free_port()}", site)
    (tmp_path / "dialog-policy.conf").write_text(site)
    around = tmp_path / "nginx.conf"
    around.write_text(_AROUND.read_text().replace("@FOLDER@", str(tmp_path)).replace("auto", "1"))
    server = subprocess.Popen([program, "-p", tmp_path, "-c", around], stderr=subprocess.DEVNULL)
    try:
        while not answers(port):
            assert server.poll() is None
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


def test_while_no_worker_answers_the_error_is_one_that_clients_read(nginx):
    request = urllib.request.Request(f"{nginx}/sessions", b"{}", {"Content-Type": "application/json"})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=60)
    answer = refused.value
    assert (answer.code, answer.headers["content-type"], answer.headers["retry-after"]) == (
        502,
        "application/json",
        "1",
    )
    assert "Idempotency-Key" in json.load(answer)["error"]
