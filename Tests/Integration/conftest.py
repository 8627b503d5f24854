"""What the tests with real clients share: the built tree and clusters made from a spec."""
import os
import pathlib
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts" / "lib"))

from cluster import Cluster, free_ports, spec_text  # noqa: E402


@pytest.fixture(scope="session")
def tree():
    """What scripts/build left: ROOST_TREE, or the debug tree."""
    found = pathlib.Path(os.environ.get("ROOST_TREE", ROOT / ".build" / "roost-debug"))
    assert (found / "bin" / "roostd").exists(), f"{found} holds no Roost: run scripts/build --debug"
    return found


@pytest.fixture(scope="session")
def root():
    return ROOT


@pytest.fixture
def make_cluster(tree, request):
    """make_cluster(brokers=1, topics=[...], ...): a running cluster; `.ports` and `.bootstrap` say where. Its log is shown when a test fails."""
    made = []

    def make(brokers=1, topics=(), up=True, **more):
        ports = free_ports(brokers)
        cluster = Cluster(tree, spec_text(ports, topics, name="test", **more))
        cluster.ports, cluster.bootstrap = ports, ",".join(f"127.0.0.1:{p}" for p in ports)
        made.append(cluster)
        if up:
            cluster.up()
        return cluster

    yield make
    for cluster in made:
        cluster.close()


@pytest.fixture(scope="module")
def shared_cluster(tree):
    """One three-broker cluster for a module's tests, which use topics of their own."""
    ports = free_ports(3)
    with Cluster(tree, spec_text(ports, name="shared")) as cluster:
        cluster.ports, cluster.bootstrap = ports, ",".join(f"127.0.0.1:{p}" for p in ports)
        cluster.up()
        yield cluster
