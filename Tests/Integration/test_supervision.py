"""What people type at a cluster's life: wrong words, starts that fail, a roostd that is gone, stops that take long."""
import pytest


def run(cluster, *words):
    return cluster.roost(*words, check=False)


def test_wrong_words_are_answered_in_a_line(make_cluster):
    cluster = make_cluster(up=False)
    for option in ("--log-level", "--log-format"):
        wrong = run(cluster, "up", cluster.spec, option, "foo")
        assert wrong.returncode == 2 and wrong.stderr.count("\n") == 1, wrong.stderr
        assert f'{option} takes one of' in wrong.stderr and 'not "foo"' in wrong.stderr and "roost up --help" in wrong.stderr


@pytest.mark.parametrize("words", [("up",), ("up", "--detach"), ("spec", "check")])
def test_what_is_no_spec_is_named(make_cluster, words):
    cluster = make_cluster(up=False)
    folder = run(cluster, *words, cluster.folder)
    assert folder.returncode == 1 and f"cannot read {cluster.folder}: Is a directory" in folder.stderr
    missing = run(cluster, *words, cluster.folder / "none.yaml")
    assert missing.returncode == 1 and str(cluster.folder / "none.yaml") in missing.stderr
    cluster.spec.write_text(cluster.spec.read_text(), encoding="utf-16")
    wide = run(cluster, *words, cluster.spec)
    assert wide.returncode == 1 and f"{cluster.spec}:1:1: found text in UTF-16, expected UTF-8" in wide.stderr
