"""The built tree: complete, relocatable, one exported symbol an image, no Foundation where it costs."""
import os
import re
import shutil
import subprocess

import pytest

MODULES = ["libroost-broker.so", "libroost-coordinator.so", "libroost-plugin-host.so"]
PLUGINS = ["libmask-fields.so", "libregion.so", "libregion-c.so"]


def exported(path):
    lines = subprocess.run(["nm", "-D", "--defined-only", path], capture_output=True, text=True, check=True).stdout.splitlines()
    # A lower-case type is local to the image.
    return [line.split()[-1] for line in lines if line.split()[-2].isupper()]


@pytest.mark.parametrize("name", MODULES)
def test_a_module_exports_its_entry_alone(tree, name):
    assert exported(tree / "lib/roost" / name) == ["roost_module_entry"]


@pytest.mark.parametrize("name", PLUGINS)
def test_a_plugin_exports_its_entry_alone(tree, name):
    assert exported(tree / "lib/roost/plugins" / name) == ["roost_plugin_entry"]


def test_modules_are_bound_to_themselves(tree):
    for name in MODULES:
        dynamic = subprocess.run(["readelf", "-d", tree / "lib/roost" / name], capture_output=True, text=True, check=True).stdout
        assert "SYMBOLIC" in dynamic


def images(tree):
    yield from (path for path in (tree / "bin").iterdir())
    yield from (path for path in (tree / "libexec").iterdir())
    yield from (tree / "lib/roost").glob("*.so")


def test_no_process_of_a_cluster_needs_foundation(tree):
    for path in [tree / "bin/roostd", tree / "libexec/roost-host", *(tree / "lib/roost" / name for name in MODULES)]:
        needed = subprocess.run(["readelf", "-d", path], capture_output=True, text=True, check=True).stdout
        assert "Foundation" not in needed, f"{path.name} links Foundation"


def test_the_tree_runs_from_another_place_without_the_toolchain(tree, tmp_path):
    moved = tmp_path / "elsewhere"
    shutil.copytree(tree, moved, symlinks=True)
    clean = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state"),
             "XDG_RUNTIME_DIR": str(tmp_path)}
    for path in images(moved):
        listed = subprocess.run(["ldd", path], capture_output=True, text=True, env=clean).stdout
        assert "not found" not in listed, f"{path.name}: {listed}"
        for library in re.findall(r"=> (\S*libswift\S*)", listed):
            assert os.path.realpath(library).startswith(os.path.realpath(moved)), f"{path.name} takes {library}"
    done = subprocess.run([moved / "bin/roost", "--version"], capture_output=True, text=True, env=clean, timeout=30)
    assert done.returncode == 0 and done.stdout.strip()
