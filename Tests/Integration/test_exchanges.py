"""The scenarios recorded from Kafka 4.3.1, played against Roost: every exchange is equal, or listed with its reason."""
import os
import re

import pytest

from cluster import Cluster, free_ports, spec_text
from replay import agreement
from replay.playback import Playback
from replay.recording import Scenario

# Played in this order against one fresh broker: later ones meet the topics of earlier ones.
ON_ONE_BROKER = ("00-api-versions", "01-topics", "02-configs", "03-produce", "04-fetch", "05-list-offsets", "06-metadata",
                 "07-find-coordinator", "08-classic-groups", "09-consumer-groups", "10-offsets", "11-transactions",
                 "12-admin", "13-share-groups", "14-streams-groups", "15-framing")
ON_A_FRESH_BROKER = ("16-extras",)
ON_THREE_BROKERS = ("20-cluster",)
PLAYED = {*ON_ONE_BROKER, *ON_A_FRESH_BROKER, *ON_THREE_BROKERS}
# SASL and ACLs: the list says why.
NOT_PLAYED = {"30-sasl", "31-acl", "32-acl-admin", "33-tokens"}
# As the recorded broker was set up.
CONFIG = {
    "log.retention.ms": -1, "log.retention.check.interval.ms": 3600000,
    "offsets.topic.num.partitions": 4, "offsets.topic.replication.factor": 1,
    "transaction.state.log.num.partitions": 4, "transaction.state.log.replication.factor": 1,
    "transaction.state.log.min.isr": 1, "transaction.abort.timed.out.transaction.cleanup.interval.ms": 500,
    "share.coordinator.state.topic.num.partitions": 4, "share.coordinator.state.topic.replication.factor": 1,
    "share.coordinator.state.topic.min.isr": 1,
    "group.initial.rebalance.delay.ms": 0, "group.max.size": 4, "group.consumer.max.size": 4,
}
SASL_AND_ACL_KEYS = {17, 29, 30, 31, 36}
SHOWN = int(os.environ.get("ROOST_REPLAY_SHOWN", "40"))


class Broker:
    """A cluster, and the scenarios that it has played."""

    def __init__(self, ports):
        self.playback = Playback(*(("127.0.0.1", port) for port in ports))
        self.results = {}

    def results_of(self, name, order):
        """Plays what comes before it first."""
        for earlier in order[:order.index(name) + 1]:
            if earlier not in self.results:
                scenario = Scenario.load(earlier)
                self.results[earlier] = scenario, self.playback.play(scenario)
        return self.results[name]


def fresh(tree, brokers=1, config=CONFIG):
    """A cluster as the recorded ones were: of three nodes each has a rack."""
    ports = free_ports(brokers)
    text = spec_text(ports, name="replay", config=config)
    if brokers > 1:
        text = re.sub(r"id: (\d), host: here, listeners", r"id: \1, host: here, rack: rack\1, listeners", text)
    with Cluster(tree, text) as cluster:
        cluster.up()
        yield Broker(ports)


@pytest.fixture(scope="module")
def broker(tree):
    yield from fresh(tree)


@pytest.fixture(scope="module")
def other_broker(tree):
    yield from fresh(tree)


@pytest.fixture(scope="module")
def three_brokers(tree):
    yield from fresh(tree, brokers=3, config={"log.retention.ms": -1})


@pytest.fixture(scope="module")
def entries():
    return agreement.parse(agreement.LIST.read_text())


def check(scenario, results, entries):
    verdict = agreement.judge(scenario, results, entries)
    print(f"{scenario.name}: {verdict.total} exchanges, {verdict.equal} equal, {verdict.differences} intended "
          f"differences, {verdict.not_built} not built")
    shown = verdict.failures[:SHOWN]
    more = len(verdict.failures) - len(shown)
    if shown:
        pytest.fail("\n".join([scenario.name, *shown] + [f"and {more} more"] * bool(more)), pytrace=False)


@pytest.mark.parametrize("name", ON_ONE_BROKER)
def test_scenario(broker, entries, name):
    check(*broker.results_of(name, ON_ONE_BROKER), entries)


@pytest.mark.parametrize("name", ON_A_FRESH_BROKER)
def test_scenario_on_a_fresh_broker(other_broker, entries, name):
    check(*other_broker.results_of(name, ON_A_FRESH_BROKER), entries)


@pytest.mark.parametrize("name", ON_THREE_BROKERS)
def test_scenario_on_three_brokers(three_brokers, entries, name):
    check(*three_brokers.results_of(name, ON_THREE_BROKERS), entries)


def test_the_list_accounts_for_every_scenario(entries):
    assert {entry.scenario for entry in entries if entry.exchanges == "all"} == NOT_PLAYED
    assert {entry.scenario for entry in entries} <= PLAYED | NOT_PLAYED
    assert all(entry.kind == "not built" for entry in entries if entry.scenario in NOT_PLAYED)


def test_intended_differences_are_documented(entries, root):
    document = (root / "docs" / "differences.md").read_text()
    assert [(entry.line, entry.reason) for entry in agreement.undocumented(entries, document)] == []


def test_what_is_not_played_still_cannot_be(broker):
    """Fails once SASL or ACLs are offered: then those scenarios are to be played."""
    assert broker.playback.offered.keys().isdisjoint(SASL_AND_ACL_KEYS)
