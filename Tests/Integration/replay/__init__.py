"""Recorded exchanges with Kafka 4.3.1, played against Roost and compared field by field.

wirecodec    bytes to JSON and back, by the project's own schemas
recording    what a scenario file holds
variables    values that differ from run to run: topic ids, producer ids, sessions
playback     sends a scenario's requests over real sockets and judges the answers
comparison   where two answers differ
agreement    the checked-in list of what is not compared, and why
"""
