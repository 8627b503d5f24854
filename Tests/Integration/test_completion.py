"""Shell completion, as a shell that loads what is installed does it."""
import os
import pathlib
import select
import shutil
import subprocess
import time

import pytest

FILES = {"bash": "bash-completion/completions/roost", "zsh": "zsh/site-functions/_roost",
         "fish": "fish/vendor_completions.d/roost.fish"}

BASH = """
. "$1"
shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
complete -p roost >/dev/null
_roost "$1"
((${#COMPREPLY[@]})) && printf '%s\\n' "${COMPREPLY[@]}"
exit 0
"""


@pytest.fixture(scope="module")
def complete(tree, shared_cluster):
    """complete("topic", "cr", cwd=...): what bash offers for the last word, with nothing of the bash-completion package."""
    script = tree / "share" / FILES["bash"]

    def run(*words, cwd=None):
        done = subprocess.run(["bash", "--norc", "-uc", BASH, "bash", script, tree / "bin/roost", *words],
                              env=shared_cluster.environment, cwd=cwd, text=True, capture_output=True, timeout=30)
        assert (done.returncode, done.stderr) == (0, "")
        return sorted(done.stdout.split("\n")[:-1])

    return run


def test_bash_completes_commands_and_options(complete):
    assert {"topic", "produce", "up", "help", "--version"} <= set(complete(""))
    assert complete("topic", "") == ["create", "delete", "describe", "list"]
    assert complete("topic", "cr") == ["create"] and complete("help", "topic", "cr") == ["create"]
    assert complete("topic", "create", "x", "--par") == ["--partitions"]
    # A value is no operand, and not an option.
    assert "--json" in complete("topic", "create", "-p", "3", "x", "-")
    assert complete("topic", "create", "-p", "") == []
    assert complete("produce", "x", "-z", "") == ["gzip", "lz4", "none", "snappy", "zstd"]
    assert complete("produce", "x", "--compression", "=", "z") == ["zstd"]
    assert complete("produce", "x", "--acks", "") == ["0", "1", "all"]
    assert complete("consume", "x", "--", "--js") == []
    assert complete("dance", "") == []


def test_bash_completes_files(complete, tmp_path):
    for name in ("demo.yaml", "other.yml", "notes.txt", "libx.so", "a name.yaml"):
        (tmp_path / name).touch()
    (tmp_path / "folder").mkdir()
    assert complete("up", "", cwd=tmp_path) == ["a name.yaml", "demo.yaml", "folder", "other.yml"]
    assert complete("spec", "check", "de", cwd=tmp_path) == ["demo.yaml"]
    assert complete("plugin", "inspect", "", cwd=tmp_path) == ["folder", "libx.so"]
    assert complete("up", "--state", "", cwd=tmp_path) == ["folder"]


def test_bash_completes_topics_and_processes(complete, shared_cluster, tree):
    for name in ("seen.one", "seen.two"):
        shared_cluster.roost("topic", "create", name)
    assert complete("consume", "seen.") == ["seen.one", "seen.two"]
    # Bash cuts the address at its colon.
    host, port = shared_cluster.bootstrap.split(",")[0].split(":")
    assert complete("topic", "delete", "-b", host, ":", port, "seen.one", "seen.t") == ["seen.two"]
    assert {"broker-1", "coordinator-1", "roostd"} <= set(complete("logs", ""))
    # One operand is all that consume takes.
    assert complete("consume", "seen.one", "seen.") == []


def test_names_come_quickly_and_quietly(shared_cluster, tree, tmp_path):
    nobody = {**shared_cluster.environment, "XDG_RUNTIME_DIR": str(tmp_path), "XDG_STATE_HOME": str(tmp_path)}
    for what in ("topics", "processes"):
        done = subprocess.run([tree / "bin/roost", "completion", what], env=nobody, capture_output=True, timeout=30)
        assert (done.returncode, done.stdout, done.stderr) == (1, b"", b"")
    # Somebody who takes connections and never answers.
    import socket
    with socket.create_server(("127.0.0.1", 0)) as server:
        begun = time.monotonic()
        done = subprocess.run([tree / "bin/roost", "completion", "topics", "-b", f"127.0.0.1:{server.getsockname()[1]}"],
                              env=nobody, capture_output=True, timeout=30)
        assert (done.returncode, done.stdout, done.stderr) == (1, b"", b"") and time.monotonic() - begun < 10


def test_what_is_built_is_what_the_program_prints_and_is_installed(tree, root, tmp_path):
    environment = {**os.environ, "TREE": str(tree), "DESTDIR": str(tmp_path), "PREFIX": "/usr"}
    subprocess.run([root / "scripts/install"], env=environment, capture_output=True, timeout=60, check=True)
    for shell, name in FILES.items():
        printed = subprocess.run([tree / "bin/roost", "completion", shell], capture_output=True, timeout=30, check=True).stdout
        assert printed and (tmp_path / "usr/share" / name).read_bytes() == printed


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_valid(tree, shell):
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    done = subprocess.run([shell, "-n", tree / "share" / FILES[shell]], text=True, capture_output=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")
    if shell == "bash" and shutil.which("shellcheck"):
        subprocess.run(["shellcheck", "-s", "bash", "-S", "warning", tree / "share" / FILES[shell]], check=True, timeout=60)


def test_fish_completes(tree, shared_cluster, tmp_path):
    if not shutil.which("fish"):
        pytest.skip("fish is not installed")
    shared_cluster.roost("topic", "create", "seen.by-fish")
    (tmp_path / "demo.yaml").touch()
    environment = {**shared_cluster.environment, "PATH": f"{tree}/bin:{os.environ['PATH']}", "HOME": str(tmp_path)}

    def offered(line):
        done = subprocess.run(["fish", "--no-config", "-c", f"source {tree}/share/{FILES['fish']}; complete -C '{line}'"],
                              env=environment, cwd=tmp_path, text=True, capture_output=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, "")
        return {entry.split("\t")[0] for entry in done.stdout.splitlines()}

    assert offered("roost top") == {"topic"}
    assert offered("roost topic ") == {"create", "delete", "describe", "list"}
    assert "--partitions" in offered("roost topic create x --part")
    assert offered("roost produce x -z zs") >= {"zstd"}
    assert "seen.by-fish" in offered("roost consume seen.")
    assert "demo.yaml" in offered("roost up de")


def test_zsh_completes(tree, shared_cluster, tmp_path):
    if not shutil.which("zsh"):
        pytest.skip("zsh is not installed")
    shared_cluster.roost("topic", "create", "seen.by-zsh")
    folder = pathlib.Path(tree / "share" / FILES["zsh"]).parent
    environment = {**shared_cluster.environment, "PATH": f"{tree}/bin:{os.environ['PATH']}", "HOME": str(tmp_path),
                   "TERM": "dumb", "ZDOTDIR": str(tmp_path)}
    outer, inner = os.openpty()
    with subprocess.Popen(["zsh", "-f", "-i"], env=environment, stdin=inner, stdout=inner, stderr=inner,
                          start_new_session=True, cwd=tmp_path) as shell:
        said = b""

        def expect(text, seconds=60):
            nonlocal said
            deadline = time.monotonic() + seconds
            while text not in said:
                left = deadline - time.monotonic()
                assert left > 0 and select.select([outer], [], [], left)[0], f"zsh said {said!r}, not {text!r}"
                said += os.read(outer, 4096)
            said = said.partition(text)[2]

        try:
            os.write(outer, b"PS1=; unsetopt zle_bracketed_paste; fpath=(%s $fpath); autoload -Uz compinit; "
                            b"compinit -u -D; print rea''dy\n" % str(folder).encode())
            expect(b"ready\r\n")
            os.write(outer, b"roost topic cr\t")
            expect(b"roost topic create ")
            os.write(outer, b"\x15roost produce x --compre\t")
            expect(b"--compression")
            os.write(outer, b"\x15roost consume seen.by-z\t")
            expect(b"roost consume seen.by-zsh")
        finally:
            shell.kill()
            os.close(inner)
            os.close(outer)
