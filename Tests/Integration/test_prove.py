"""The short form of scripts/prove."""
import prove


def test_nothing_is_lost(tree):
    result = prove.prove(tree, 24_000, 1024, prove.Progress(quiet=True))
    assert result["kcat"]["records"] == result["confluent-kafka"]["records"] == 24_000
    assert result["killed"]["killed"] == ["broker 1", "broker 2", "broker 3", "roostd"]
    assert result["killed"]["acknowledged"] > 12_000
