# SPDX-License-Identifier: Apache-2.0
"""The environment of functions, their results, and the end of all their processes."""

import concurrent.futures
import hashlib
import json
import os
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from conftest import Worker

from qinling_runtime.function import TOO_MUCH


def alive(marker: str) -> bool:
    """Return whether a process with ``marker`` in its command line exists."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if marker.encode() in path.read_bytes():
                return True
        except OSError:
            continue
    return False


@pytest.mark.parametrize(
    ("code", "given", "output"),
    [
        ("def main(name='World', **kwargs):\n return f'Hello, {name}'", None, "Hello, World"),
        ("def main(name='World', **kwargs):\n return f'Hello, {name}'", {"name": "Q"}, "Hello, Q"),
        ("def main(text, **kwargs):\n return text.upper()", {"__function_input": "abc"}, "ABC"),
        ("def main(name):\n return name", {"name": "no context taken"}, "no context taken"),
        ("def main(context):\n return sorted(context)", None, ["os_session"]),
        ("def main(context, **kw):\n return context['os_session']", None, None),
        ("def main():\n return {'a': [1, 2.5, None, 'ä']}", None, {"a": [1, 2.5, None, "ä"]}),
        ("import threading\nseen=[]\ndef main():\n threading.Timer(0.1, seen.append, [1]).start()\n return seen",
         None, [1]),
    ],
)  # fmt: skip
def test_output(worker: Any, code: str, given: dict[str, Any] | None, output: Any) -> None:
    result = worker.run(code, given=given)
    assert result == {
        "output": output,
        "success": True,
        "duration": result["duration"],
        "logs": "Start execution: e-1\nFinished execution: e-1\n",
    }
    assert 0 < result["duration"] < 5


@pytest.mark.parametrize(
    ("code", "output", "log"),
    [
        ("def main():\n raise ValueError('boom')", "boom", 'main.py", line 2, in main'),
        ("def main():\n raise KeyError", "KeyError", "KeyError"),
        ("def main():\n return object()", "Function output of type object cannot be represented as JSON", ""),
        ("def main():\n return float('nan')", "Function output of type float cannot be represented as JSON", ""),
        ("def main():\n return {(1,): 2}", "Function output of type dict cannot be represented as JSON", ""),
        ("def main():\n a=[]\n a.append(a)\n return a", "Function output of type list cannot be", ""),
        ("def main():\n return 'x' * 9000000", "Function output is 9000031 bytes as JSON, more than 8388608", ""),
        ("import sys\ndef main():\n sys.exit(3)", "Function ended itself by exit(3)", ""),
        ("import os\ndef main():\n os._exit(4)", "Function process ended with status 4", ""),
        ("import os\ndef main():\n os._exit(0)", "Function process ended without an answer", ""),
        ("import os\ndef main():\n os.kill(os.getpid(), 9)", TOO_MUCH, ""),
        ("def main():\n return len(bytearray(500_000_000))", TOO_MUCH, "MemoryError"),
        ("def main():\n raise OSError(11, 'Resource temporarily unavailable')", TOO_MUCH, ""),
        ("import os\ndef main():\n os.kill(os.getppid(), 9)\n import time\n time.sleep(30)", TOO_MUCH, ""),
        ("syntax error", "invalid syntax", "SyntaxError"),
        ("other = 1", "module 'main' has no attribute 'main'", ""),
    ],
)  # fmt: skip
def test_failures(worker: Any, code: str, output: Any, log: str) -> None:
    # More than the limit on memory, less than the limit on output.
    result = worker.run(code, memory_size=128 * 1024 * 1024)
    assert result["success"] is False
    assert result["output"].startswith(output)
    assert log in result["logs"]
    assert "qinling_runtime" not in result["logs"]
    # The worker still works.
    assert worker.run("def main():\n return 1")["output"] == 1


def test_all_output_is_logged_and_limited(worker: Any, settings: Any) -> None:
    code = (
        "import os, sys\ndef main(size):\n print('out'); print('err', file=sys.stderr); os.system('echo child')\n"
        " print('\\ud800 ä'); sys.stdout.write('no newline'); sys.stdout.flush(); print('x' * size)"
    )
    logs = worker.run(code, given={"size": 1})["logs"]
    for part in ("out\n", "err\n", "child\n", "\\ud800 ä\n", "no newlinex"):
        assert part in logs
    result = worker.run(code, given={"size": 10**7})
    assert result["success"] is True
    assert len(result["logs"].encode()) < 65535
    assert "more bytes were dropped" in result["logs"]


@pytest.mark.parametrize(
    "body",
    [
        "time.sleep(60)",
        "subprocess.run(['sleep', marker])",
        "subprocess.Popen(['sh', '-c', f'sleep {marker} & sleep {marker}'], start_new_session=True); time.sleep(60)",
        "daemon(marker); time.sleep(60)",
        "signal.signal(signal.SIGTERM, signal.SIG_IGN); daemon(marker)\n while True: pass",
    ],
)
def test_timeout_kills_the_whole_tree(worker: Any, body: str) -> None:
    marker = f"6{time.time_ns() % 10**8}"
    code = (
        "import os, signal, subprocess, time\n"
        "def daemon(marker):\n"
        " if os.fork() == 0:\n"
        "  os.setsid()\n"
        "  if os.fork() == 0:\n"
        "   os.execvp('sleep', ['sleep', marker])\n"
        "  os._exit(0)\n"
        f"def main(marker):\n {body}\n"
    )
    start = time.monotonic()
    result = worker.run(code, given={"marker": marker}, timeout=1)
    assert time.monotonic() - start < 5
    assert (result["success"], result["output"]) == (False, "Function execution timeout.")
    assert 1 <= result["duration"] < 3
    assert not alive(marker)


def test_daemons_do_not_outlive_a_function_that_succeeds(worker: Any) -> None:
    marker = f"6{time.time_ns() % 10**8}"
    code = (
        "import subprocess\ndef main(marker):\n subprocess.Popen(['sleep', marker], start_new_session=True)\n return 1"
    )
    assert worker.run(code, given={"marker": marker})["output"] == 1
    assert not alive(marker)


def test_memory_of_several_processes_counts_together(worker: Any) -> None:
    code = (
        "import os, time\ndef main():\n for _ in range(8):\n"
        "  if os.fork() == 0:\n   held = bytearray(os.urandom(1)) * 40_000_000\n   time.sleep(30)\n time.sleep(30)"
    )
    result = worker.run(code, timeout=20)
    assert result["output"] == TOO_MUCH
    assert result["duration"] < 15


def test_limits_in_the_function(worker: Any) -> None:
    code = (
        "import resource as r, os\ndef main():\n"
        " return [r.getrlimit(k)[0] for k in (r.RLIMIT_NOFILE, r.RLIMIT_NPROC, r.RLIMIT_FSIZE, r.RLIMIT_CORE)]"
    )
    assert worker.run(code)["output"] == [1024, 128, 524288000, 0]


def test_environment_and_folders(worker: Any, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "import os, sys\ndef main():\n open('file', 'w').write('x')\n"
        " return [dict(os.environ), os.getcwd(), sorted(os.listdir('/proc/self/fd')), sys.path[0], __file__]"
    )
    environment, folder, numbers, first, file = worker.run(code)["output"]
    assert set(environment) <= {
        "PATH", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "HOME", "TMPDIR",
    }  # fmt: skip
    assert environment["HOME"] == environment["TMPDIR"] == folder
    # Standard streams, the descriptor of the result, and listdir's own.
    assert len(numbers) == 5
    assert file == f"{first}/main.py"
    assert not os.listdir(settings.scratch)


def test_secrets_do_not_reach_functions_or_logs(worker: Any, capfd: Any) -> None:
    code = (
        "import os\ndef main(**kwargs):\n"
        " found = []\n"
        " for pid in os.listdir('/proc'):\n"
        "  for name in ('environ', 'cmdline'):\n"
        "   try: found.append(open(f'/proc/{pid}/{name}', errors='replace').read())\n"
        "   except OSError: pass\n"
        " return 's3cret-token' in str(found)"
    )
    result = worker.run(
        code, given={"password": "s3cret-input"}, token="s3cret-token", auth_url="http://127.0.0.1:9/v3"
    )
    assert (result["success"], result["output"]) == (True, False)
    out, err = capfd.readouterr()
    assert "execution_id='e-1'" in out
    assert "s3cret" not in out + err


def test_executions_run_at_the_same_time(worker: Any) -> None:
    code = "import time\ndef main(n):\n time.sleep(0.5)\n print(n)\n return n"
    worker.run(code, given={"n": 0})
    start = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda n: worker.call(given={"n": n}), range(8)))
    assert time.monotonic() - start < 3
    assert [result["output"] for result in results] == list(range(8))
    for n, result in enumerate(results):
        assert result["logs"].splitlines()[1] == str(n)


def test_killed_zygote_is_restarted(worker: Any) -> None:
    assert worker.run("def main():\n return 1")["success"]
    worker.executor._zygote.kill()
    worker.executor._zygote.wait()
    assert worker.run("def main():\n return 2")["output"] == 2


def test_a_warm_start_is_fast(worker: Any) -> None:
    worker.run("def main():\n return 1")
    best = min(worker.call()["duration"] for _number in range(10))
    assert best < 0.06


def test_ping(worker: Any) -> None:
    with urllib.request.urlopen(f"{worker.url}/ping") as response:
        assert (response.status, response.read()) == (200, b"pong")


@pytest.mark.parametrize(
    ("given", "status"),
    [({}, 403), ({"X-Qinling-Worker-Token": "no"}, 403), ({"X-Qinling-Worker-Token": "right"}, 400)],
)
def test_token(settings: Any, api: Any, given: dict[str, Any], status: int) -> None:
    result = Worker(settings, api, hashlib.sha256(b"right").hexdigest())
    try:
        assert result.post(b"{}", headers=given)[0] == status
        with urllib.request.urlopen(f"{result.url}/ping") as response:
            assert response.status == 200
    finally:
        result.close()


GOOD = {"execution_id": "e", "function_id": "f", "download_url": "http://127.0.0.1:9/"}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"{", "the body is not JSON"),
        (b"[]", "the body is not a JSON object"),
        (b"[" * 100000, "the body is not JSON"),
        (json.dumps({**GOOD, "entry": "main"}).encode(), "entry must look like module.function"),
        (json.dumps({**GOOD, "entry": "os;x.y"}).encode(), "entry must look like module.function"),
        (json.dumps({**GOOD, "entry": 7}).encode(), "entry must look like module.function"),
        (json.dumps({**GOOD, "download_url": None}).encode(), "download_url is missing"),
        (json.dumps({**GOOD, "timeout": "x"}).encode(), "timeout must be a number"),
        (json.dumps({**GOOD, "memory_size": -1}).encode(), "memory_size must be a number"),
        (b" " * (1024 * 1024 + 1), "the body is larger than 1048576 bytes"),
    ],
)
def test_bad_requests(worker: Any, body: bytes, expected: str) -> None:
    status, answer = worker.post(body)
    assert status == 400
    assert expected in answer["output"]
    assert answer["success"] is False


def test_unknown_addresses(worker: Any) -> None:
    assert worker.post(b"{}", path="/cglimit")[0] == 404
