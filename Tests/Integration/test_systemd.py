"""roost@.service under a real systemd: one boot of a sandbox, many checks (Tests/systemd/scenario.py)."""
import os
import subprocess
import sys

import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / "Tests" / "systemd"))
from scenario import CHECKS  # noqa: E402


@pytest.fixture(scope="module")
def outcome(tree):
    sandbox = ROOT / "Tests" / "systemd" / "sandbox"
    done = subprocess.run(
        [str(sandbox), "-t", "280", "env", f"ROOST_TREE={tree}", "/usr/bin/python3", str(ROOT / "Tests/systemd/scenario.py")],
        capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL,
        env={**os.environ, "ROOST_TREE": str(tree)})
    if done.returncode == 77 and not os.environ.get("ROOST_TESTS_REQUIRE_SYSTEMD"):
        pytest.skip(f"no sandbox on this machine: {done.stderr.strip()}")
    return done


@pytest.mark.parametrize("name", [check.__name__ for check in CHECKS])
def test_systemd(outcome, name):
    lines = outcome.stdout.splitlines()
    assert f"ok {name}" in lines, next((l for l in lines if name in l), "it did not run") + "\n" + outcome.stderr[-8000:]
