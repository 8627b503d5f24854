/// The configuration of brokers: every key that a Kafka 4.3 broker describes, with its type and default.
///
/// A key here is one that DescribeConfigs lists; that it is listed does not say that it has an effect yet (those without
/// are in docs/differences.md).
public enum BrokerConfigs {
  /// A key of the broker's configuration.
  public struct Definition: Sendable {
    public let name: String
    public let type: ConfigType
    /// Nil: there is none.
    public let defaultValue: String?
    /// Kafka can change it while the broker runs.
    public let isDynamic: Bool
    /// Never shown.
    public var isSensitive: Bool { type == .password }
  }

  /// In the order of their names.
  public static let all: [Definition] = table.split(separator: "\n").map(parse)

  private static let byName: [String: Definition] = Dictionary(
    uniqueKeysWithValues: all.map { ($0.name, $0) })

  public static func definition(of name: String) -> Definition? { byName[name] }

  /// `name|type, w when it is dynamic|- when there is no default|default`.
  private static func parse(_ line: Substring) -> Definition {
    let parts = line.split(separator: "|", maxSplits: 3, omittingEmptySubsequences: false)
    precondition(parts.count == 4, "a line of the table has four parts")
    return Definition(
      name: String(parts[0]), type: type(of: parts[1].prefix(1)),
      defaultValue: parts[2] == "-" ? nil : String(parts[3]), isDynamic: parts[1].hasSuffix("w"))
  }

  private static func type(of letter: Substring) -> ConfigType {
    switch letter {
    case "b": .boolean
    case "s": .string
    case "i": .int
    case "h": .short
    case "l": .long
    case "d": .double
    case "L": .list
    case "c": .className
    case "p": .password
    default: preconditionFailure("a letter of the table is not known")
    }
  }

  private static let table = """
    add.partitions.to.txn.retry.backoff.max.ms|i||100
    add.partitions.to.txn.retry.backoff.ms|i||20
    advertised.listeners|L|-|
    alter.config.policy.class.name|c|-|
    alter.log.dirs.replication.quota.window.num|i||11
    alter.log.dirs.replication.quota.window.size.seconds|i||1
    authorizer.class.name|s||
    auto.create.topics.enable|b||true
    auto.leader.rebalance.enable|b||true
    background.threads|iw||10
    broker.heartbeat.interval.ms|i||2000
    broker.id|i||-1
    broker.rack|s|-|
    broker.session.timeout.ms|i||9000
    client.quota.callback.class|c|-|
    compression.gzip.level|iw||-1
    compression.lz4.level|iw||9
    compression.type|sw||producer
    compression.zstd.level|iw||3
    config.providers|Lw||
    connection.failed.authentication.delay.ms|i||100
    connections.max.idle.ms|l||600000
    connections.max.reauth.ms|l||0
    controlled.shutdown.enable|b||true
    controller.listener.names|L|-|
    controller.quorum.append.linger.ms|i||25
    controller.quorum.auto.join.enable|b||false
    controller.quorum.bootstrap.servers|L||
    controller.quorum.election.backoff.max.ms|i||1000
    controller.quorum.election.timeout.ms|i||1000
    controller.quorum.fetch.max.bytes|i||1048576
    controller.quorum.fetch.snapshot.max.bytes|i||1048576
    controller.quorum.fetch.timeout.ms|i||2000
    controller.quorum.request.timeout.ms|i||2000
    controller.quorum.retry.backoff.ms|i||20
    controller.quorum.voters|L||
    controller.quota.window.num|i||11
    controller.quota.window.size.seconds|i||1
    controller.socket.timeout.ms|i||30000
    cordoned.log.dirs|Lw||
    create.topic.policy.class.name|c|-|
    default.replication.factor|i||1
    delegation.token.expiry.check.interval.ms|l||3600000
    delegation.token.expiry.time.ms|l||86400000
    delegation.token.max.lifetime.ms|l||604800000
    delegation.token.secret.key|p|-|
    delete.records.purgatory.purge.interval.requests|i||1
    delete.topic.enable|b||true
    early.start.listeners|L|-|
    fetch.max.bytes|i||57671680
    fetch.purgatory.purge.interval.requests|i||1000
    follower.fetch.last.tiered.offset.enable|bw||false
    group.consumer.assignment.interval.ms|iw||1000
    group.consumer.assignors|L||uniform,range
    group.consumer.heartbeat.interval.ms|i||5000
    group.consumer.max.assignment.interval.ms|i||15000
    group.consumer.max.heartbeat.interval.ms|i||15000
    group.consumer.max.session.timeout.ms|i||60000
    group.consumer.max.size|i||2147483647
    group.consumer.migration.policy|s||bidirectional
    group.consumer.min.assignment.interval.ms|i||0
    group.consumer.min.heartbeat.interval.ms|i||5000
    group.consumer.min.session.timeout.ms|i||45000
    group.consumer.session.timeout.ms|i||45000
    group.coordinator.append.linger.ms|i||-1
    group.coordinator.background.threads|i||2
    group.coordinator.cached.buffer.max.bytes|iw||1048588
    group.coordinator.rebalance.protocols|L||classic,consumer,streams
    group.coordinator.threads|i||4
    group.initial.rebalance.delay.ms|i||3000
    group.max.session.timeout.ms|i||1800000
    group.max.size|i||2147483647
    group.min.session.timeout.ms|i||6000
    group.share.assignment.interval.ms|iw||1000
    group.share.assignors|L||simple
    group.share.delivery.count.limit|i||5
    group.share.heartbeat.interval.ms|i||5000
    group.share.max.assignment.interval.ms|i||15000
    group.share.max.delivery.count.limit|i||10
    group.share.max.heartbeat.interval.ms|i||15000
    group.share.max.partition.max.record.locks|i||4000
    group.share.max.record.lock.duration.ms|i||60000
    group.share.max.session.timeout.ms|i||60000
    group.share.max.share.sessions|i||2000
    group.share.max.size|i||200
    group.share.min.assignment.interval.ms|i||0
    group.share.min.delivery.count.limit|i||2
    group.share.min.heartbeat.interval.ms|i||5000
    group.share.min.partition.max.record.locks|i||100
    group.share.min.record.lock.duration.ms|i||15000
    group.share.min.session.timeout.ms|i||45000
    group.share.partition.max.record.locks|i||2000
    group.share.record.lock.duration.ms|i||30000
    group.share.session.timeout.ms|i||45000
    group.streams.assignment.interval.ms|iw||1000
    group.streams.heartbeat.interval.ms|i||5000
    group.streams.initial.rebalance.delay.ms|i||3000
    group.streams.max.assignment.interval.ms|i||15000
    group.streams.max.heartbeat.interval.ms|i||15000
    group.streams.max.session.timeout.ms|i||60000
    group.streams.max.size|i||2147483647
    group.streams.max.standby.replicas|i||2
    group.streams.min.assignment.interval.ms|i||0
    group.streams.min.heartbeat.interval.ms|i||5000
    group.streams.min.session.timeout.ms|i||45000
    group.streams.num.standby.replicas|i||0
    group.streams.session.timeout.ms|i||45000
    initial.broker.registration.timeout.ms|i||60000
    inter.broker.listener.name|s|-|
    kafka.metrics.polling.interval.secs|i||10
    kafka.metrics.reporters|L||
    leader.imbalance.check.interval.seconds|l||300
    listener.security.protocol.map|sw||SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT
    listeners|Lw||PLAINTEXT://:9092
    log.cleaner.backoff.ms|lw||15000
    log.cleaner.dedupe.buffer.size|lw||134217728
    log.cleaner.delete.retention.ms|lw||86400000
    log.cleaner.enable|b||true
    log.cleaner.io.buffer.load.factor|dw||0.9
    log.cleaner.io.buffer.size|iw||524288
    log.cleaner.io.max.bytes.per.second|dw||1.7976931348623157E308
    log.cleaner.max.compaction.lag.ms|lw||9223372036854775807
    log.cleaner.min.cleanable.ratio|dw||0.5
    log.cleaner.min.compaction.lag.ms|lw||0
    log.cleaner.threads|iw||1
    log.cleanup.policy|Lw||delete
    log.dir|L||/tmp/kafka-logs
    log.dir.failure.timeout.ms|l||30000
    log.dirs|L|-|
    log.flush.interval.messages|lw||9223372036854775807
    log.flush.interval.ms|lw|-|
    log.flush.offset.checkpoint.interval.ms|i||60000
    log.flush.scheduler.interval.ms|l||9223372036854775807
    log.flush.start.offset.checkpoint.interval.ms|i||60000
    log.index.interval.bytes|iw||4096
    log.index.size.max.bytes|iw||10485760
    log.local.retention.bytes|lw||-2
    log.local.retention.ms|lw||-2
    log.message.timestamp.after.max.ms|lw||3600000
    log.message.timestamp.before.max.ms|lw||9223372036854775807
    log.message.timestamp.type|sw||CreateTime
    log.preallocate|bw||false
    log.retention.bytes|lw||-1
    log.retention.check.interval.ms|l||300000
    log.retention.hours|i||168
    log.retention.minutes|i|-|
    log.retention.ms|lw|-|
    log.roll.hours|i||168
    log.roll.jitter.hours|i||0
    log.roll.jitter.ms|lw|-|
    log.roll.ms|lw|-|
    log.segment.bytes|iw||1073741824
    log.segment.delete.delay.ms|lw||60000
    max.connection.creation.rate|iw||2147483647
    max.connections|iw||2147483647
    max.connections.per.ip|iw||2147483647
    max.connections.per.ip.overrides|sw||
    max.incremental.fetch.session.cache.slots|i||1000
    max.request.partition.size.limit|i||2000
    message.max.bytes|iw||1048588
    metadata.log.dir|s|-|
    metadata.log.max.record.bytes.between.snapshots|l||20971520
    metadata.log.max.snapshot.interval.ms|l||3600000
    metadata.log.segment.bytes|i||1073741824
    metadata.log.segment.ms|l||604800000
    metadata.max.idle.interval.ms|i||500
    metadata.max.retention.bytes|l||104857600
    metadata.max.retention.ms|l||604800000
    metric.reporters|Lw||org.apache.kafka.common.metrics.JmxReporter
    metrics.num.samples|i||2
    metrics.recording.level|s||INFO
    metrics.sample.window.ms|l||30000
    min.insync.replicas|iw||1
    node.id|i|-|
    num.io.threads|iw||8
    num.network.threads|iw||3
    num.partitions|i||1
    num.recovery.threads.per.data.dir|iw||2
    num.replica.alter.log.dirs.threads|i|-|
    num.replica.fetchers|iw||1
    offset.metadata.max.bytes|i||4096
    offsets.commit.timeout.ms|i||5000
    offsets.load.buffer.size|i||5242880
    offsets.retention.check.interval.ms|l||600000
    offsets.retention.minutes|i||10080
    offsets.topic.compression.codec|i||0
    offsets.topic.num.partitions|i||50
    offsets.topic.replication.factor|h||3
    offsets.topic.segment.bytes|i||104857600
    principal.builder.class|cw||org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder
    process.roles|L|-|
    producer.id.expiration.ms|iw||86400000
    producer.purgatory.purge.interval.requests|i||1000
    queued.max.request.bytes|l||-1
    queued.max.requests|i||500
    quota.window.num|i||11
    quota.window.size.seconds|i||1
    remote.fetch.max.wait.ms|iw||500
    remote.list.offsets.request.timeout.ms|lw||30000
    remote.log.index.file.cache.total.size.bytes|lw||1073741824
    remote.log.manager.copier.thread.pool.size|iw||10
    remote.log.manager.copy.max.bytes.per.second|lw||9223372036854775807
    remote.log.manager.copy.quota.window.num|i||11
    remote.log.manager.copy.quota.window.size.seconds|i||1
    remote.log.manager.expiration.thread.pool.size|iw||10
    remote.log.manager.fetch.max.bytes.per.second|lw||9223372036854775807
    remote.log.manager.fetch.quota.window.num|i||11
    remote.log.manager.fetch.quota.window.size.seconds|i||1
    remote.log.manager.follower.thread.pool.size|iw||2
    remote.log.manager.task.interval.ms|l||30000
    remote.log.manager.thread.pool.size|i||2
    remote.log.metadata.custom.metadata.max.bytes|i||128
    remote.log.metadata.manager.class.name|s||org.apache.kafka.server.log.remote.metadata.storage.TopicBasedRemoteLogMetadataManager
    remote.log.metadata.manager.class.path|s|-|
    remote.log.metadata.manager.impl.prefix|s||rlmm.config.
    remote.log.metadata.manager.listener.name|s|-|
    remote.log.reader.max.pending.tasks|i||100
    remote.log.reader.threads|iw||10
    remote.log.storage.manager.class.name|s|-|
    remote.log.storage.manager.class.path|s|-|
    remote.log.storage.manager.impl.prefix|s||rsm.config.
    remote.log.storage.system.enable|b||false
    replica.fetch.backoff.ms|i||1000
    replica.fetch.max.bytes|i||1048576
    replica.fetch.min.bytes|i||1
    replica.fetch.response.max.bytes|i||10485760
    replica.fetch.wait.max.ms|i||500
    replica.high.watermark.checkpoint.interval.ms|l||5000
    replica.lag.time.max.ms|l||30000
    replica.selector.class|s|-|
    replica.socket.receive.buffer.bytes|i||65536
    replica.socket.timeout.ms|i||30000
    replication.quota.window.num|i||11
    replication.quota.window.size.seconds|i||1
    request.timeout.ms|i||30000
    sasl.client.callback.handler.class|c|-|
    sasl.enabled.mechanisms|Lw||GSSAPI
    sasl.jaas.config|pw|-|
    sasl.kerberos.kinit.cmd|sw||/usr/bin/kinit
    sasl.kerberos.min.time.before.relogin|lw||60000
    sasl.kerberos.principal.to.local.rules|Lw||DEFAULT
    sasl.kerberos.service.name|sw|-|
    sasl.kerberos.ticket.renew.jitter|dw||0.05
    sasl.kerberos.ticket.renew.window.factor|dw||0.8
    sasl.login.callback.handler.class|c|-|
    sasl.login.class|c|-|
    sasl.login.connect.timeout.ms|i|-|
    sasl.login.read.timeout.ms|i|-|
    sasl.login.refresh.buffer.seconds|hw||300
    sasl.login.refresh.min.period.seconds|hw||60
    sasl.login.refresh.window.factor|dw||0.8
    sasl.login.refresh.window.jitter|dw||0.05
    sasl.login.retry.backoff.max.ms|l||10000
    sasl.login.retry.backoff.ms|l||100
    sasl.mechanism.controller.protocol|s||GSSAPI
    sasl.mechanism.inter.broker.protocol|sw||GSSAPI
    sasl.oauthbearer.assertion.algorithm|s||RS256
    sasl.oauthbearer.assertion.claim.aud|s|-|
    sasl.oauthbearer.assertion.claim.exp.seconds|i||300
    sasl.oauthbearer.assertion.claim.iss|s|-|
    sasl.oauthbearer.assertion.claim.jti.include|b||false
    sasl.oauthbearer.assertion.claim.nbf.seconds|i||60
    sasl.oauthbearer.assertion.claim.sub|s|-|
    sasl.oauthbearer.assertion.file|s|-|
    sasl.oauthbearer.assertion.private.key.file|s|-|
    sasl.oauthbearer.assertion.private.key.passphrase|p|-|
    sasl.oauthbearer.assertion.template.file|s|-|
    sasl.oauthbearer.client.credentials.client.id|s|-|
    sasl.oauthbearer.client.credentials.client.secret|p|-|
    sasl.oauthbearer.clock.skew.seconds|i||30
    sasl.oauthbearer.expected.audience|L||
    sasl.oauthbearer.expected.issuer|s|-|
    sasl.oauthbearer.jwks.endpoint.refresh.ms|l||3600000
    sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms|l||10000
    sasl.oauthbearer.jwks.endpoint.retry.backoff.ms|l||100
    sasl.oauthbearer.jwks.endpoint.url|s|-|
    sasl.oauthbearer.jwt.retriever.class|c||org.apache.kafka.common.security.oauthbearer.DefaultJwtRetriever
    sasl.oauthbearer.jwt.validator.class|c||org.apache.kafka.common.security.oauthbearer.DefaultJwtValidator
    sasl.oauthbearer.scope|s|-|
    sasl.oauthbearer.scope.claim.name|s||scope
    sasl.oauthbearer.sub.claim.name|s||sub
    sasl.oauthbearer.token.endpoint.url|s|-|
    sasl.server.callback.handler.class|c|-|
    sasl.server.max.receive.size|i||524288
    security.inter.broker.protocol|s||PLAINTEXT
    security.providers|s|-|
    share.coordinator.append.linger.ms|i||-1
    share.coordinator.cached.buffer.max.bytes|iw||1048588
    share.coordinator.load.buffer.size|i||5242880
    share.coordinator.snapshot.update.records.per.snapshot|i||500
    share.coordinator.state.topic.compression.codec|i||0
    share.coordinator.state.topic.min.isr|h||2
    share.coordinator.state.topic.num.partitions|i||50
    share.coordinator.state.topic.replication.factor|h||3
    share.coordinator.state.topic.segment.bytes|i||104857600
    share.coordinator.threads|i||1
    share.coordinator.write.timeout.ms|i||5000
    share.fetch.purgatory.purge.interval.requests|i||1000
    socket.connection.setup.timeout.max.ms|l||30000
    socket.connection.setup.timeout.ms|l||10000
    socket.listen.backlog.size|i||50
    socket.receive.buffer.bytes|i||102400
    socket.request.max.bytes|i||104857600
    socket.send.buffer.bytes|i||102400
    ssl.allow.dn.changes|b||false
    ssl.allow.san.changes|b||false
    ssl.cipher.suites|Lw||
    ssl.client.auth|sw||none
    ssl.enabled.protocols|Lw||TLSv1.2,TLSv1.3
    ssl.endpoint.identification.algorithm|sw||https
    ssl.engine.factory.class|cw|-|
    ssl.key.password|pw|-|
    ssl.keymanager.algorithm|sw||SunX509
    ssl.keystore.certificate.chain|pw|-|
    ssl.keystore.key|pw|-|
    ssl.keystore.location|sw|-|
    ssl.keystore.password|pw|-|
    ssl.keystore.type|sw||JKS
    ssl.principal.mapping.rules|s||DEFAULT
    ssl.protocol|sw||TLSv1.3
    ssl.provider|sw|-|
    ssl.secure.random.implementation|sw|-|
    ssl.trustmanager.algorithm|sw||PKIX
    ssl.truststore.certificates|pw|-|
    ssl.truststore.location|sw|-|
    ssl.truststore.password|pw|-|
    ssl.truststore.type|sw||JKS
    telemetry.max.bytes|i||1048576
    transaction.abort.timed.out.transaction.cleanup.interval.ms|i||10000
    transaction.max.timeout.ms|i||900000
    transaction.partition.verification.enable|bw||true
    transaction.remove.expired.transaction.cleanup.interval.ms|i||3600000
    transaction.state.log.load.buffer.size|i||5242880
    transaction.state.log.min.isr|i||2
    transaction.state.log.num.partitions|i||50
    transaction.state.log.replication.factor|h||3
    transaction.state.log.segment.bytes|i||104857600
    transaction.two.phase.commit.enable|b||false
    transactional.id.expiration.ms|i||604800000
    unclean.leader.election.enable|bw||false
    """
}
