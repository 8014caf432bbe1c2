"""Starts a host and holds it to its own OpenAPI document with Schemathesis.

usage: run.py PROGRAM [option of schemathesis run ...]
"""

import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
INSTALLED = Path(os.environ.get("CARGO_TARGET_DIR", HERE.parent.parent / "target")) / "schemathesis"
# How long the host may take to start (it compiles the bundled plugins first), and the whole run, in seconds.
START = 300
RUN = 1500


def installed():
    """The program, installed unless these very requirements are."""
    requirements = (HERE / "requirements.txt").read_text()
    stamp, python = INSTALLED / "installed", INSTALLED / "bin" / "python"
    if not stamp.exists() or stamp.read_text() != requirements:
        venv.create(INSTALLED, clear=True, with_pip=True)
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]
        subprocess.run([*install, HERE / "requirements.txt"], check=True)
        stamp.write_text(requirements)
    return INSTALLED / "bin" / "schemathesis"


def closed_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def ask(base, key, method, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(base + path, data, method=method)
    request.add_header("content-type", "application/json")
    request.add_header("authorization", f"Bearer {key}")
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read()


def wait_until_ready(base, key, host):
    end = time.monotonic() + START
    while time.monotonic() < end and host.poll() is None:
        try:
            return ask(base, key, "GET", "/readyz")
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.05)
    sys.exit("The host did not start.")


def seed(base, key):
    """Something to look at: endpoints of two tenants, and events for them."""
    for tenant in ("default", "acme"):
        endpoint = {"name": tenant, "tenant": tenant, "url": "http://127.0.0.1:9/", "events": ["*"]}
        ask(base, key, "POST", "/v1/endpoints", endpoint)
        for number in range(3):
            event = {"type": "invoice.paid", "tenant": tenant, "payload": {"number": number}, "channels": ["a"]}
            ask(base, key, "POST", "/v1/events", event)


def plugin(program):
    """A bundled plugin, as it was built beside the program."""
    built = (program.parent / "build").glob("hookwright-*/out/flatten.wasm")
    newest = max(built, key=lambda path: path.stat().st_mtime, default=None)
    return newest or sys.exit("No plugin lies beside the program; build it with cargo.")


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    program, more = Path(sys.argv[1]).resolve(), sys.argv[2:]
    schemathesis = installed()
    key = "hwk_" + secrets.token_urlsafe(32)
    port = closed_port()
    base = f"http://127.0.0.1:{port}"
    environment = {
        **os.environ,
        "HOOKWRIGHT_ADMIN_KEY": key,
        "HOOKWRIGHT_LISTEN": f"127.0.0.1:{port}",
        "HOOKWRIGHT_ALLOW_TARGETS": "127.0.0.0/8",
        # Whatever an endpoint points to, nothing is delivered.
        "HOOKWRIGHT_EGRESS_PROXY": f"http://127.0.0.1:{closed_port()}",
        "HOOKWRIGHT_LOG_FILTER": "error",
        # Keys, endpoints and the like are made by the thousand, and whoever guesses a key has to be able to go on.
        "HOOKWRIGHT_KEY_MAX": "100000",
        "HOOKWRIGHT_DASHBOARD_SIGN_IN_ATTEMPTS": "1000000",
    }
    with tempfile.TemporaryDirectory() as data:
        environment["HOOKWRIGHT_DATA_DIR"] = data
        host = subprocess.Popen([program, "serve"], env=environment)
        try:
            wait_until_ready(base, key, host)
            seed(base, key)
            # One seed, so that a change is judged by what it changes; `--seed` after the program tries others. What
            # follows from answers, in which ids are ever new, differs from run to run all the same.
            arguments = ["--max-examples", "100", "--workers", "1", "--checks", "all", "--seed", "1"]
            arguments += ["--warnings", "off", "--no-color"]
            # No verdict depends on how fast the machine is.
            arguments += ["--request-timeout", "60", "--suppress-health-check", "all"]
            # A stream goes on for a day unless it is asked not to, and a client that reads whole answers waits for its end.
            arguments += ["--exclude-operation-id", "watch_deliveries"]
            arguments += ["--header", f"Authorization: Bearer {key}", *more]
            environment = {**os.environ, "SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": str(HERE)}
            environment["TRIED_PLUGIN"] = str(plugin(program))
            environment["TRIED_KEY"] = key
            command = [schemathesis, "--config-file", str(HERE / "schemathesis.toml"), "run", *arguments, f"{base}/openapi.json"]
            code = subprocess.run(command, env=environment, cwd=data, timeout=RUN).returncode
            if host.poll() is not None:
                sys.exit(f"The host ended by itself, with {host.returncode}.")
            sys.exit(code)
        finally:
            host.terminate()
            host.wait(timeout=60)


main()
