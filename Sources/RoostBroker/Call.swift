internal import RoostMessages
internal import RoostNetwork
internal import RoostReactor
internal import RoostStorage
internal import RoostSystem
internal import RoostWire

/// One request that is being served: its version, who asked, and the place of its answer. Sendable; answered once.
struct Call: Sendable {
  let version: Int16
  let client: ClientIdentity
  let slot: ResponseSlot
  /// What the request counts for while it waits.
  private let waitingBytes: Int
  private let log: BrokerLog

  init(_ request: InboundRequest, log: BrokerLog) {
    version = request.apiVersion
    client = request.client
    slot = request.slot
    waitingBytes = Limits.waitingBytesPerByte * request.body.count
    self.log = log
  }

  /// The connection's event loop.
  var loop: EventLoop { slot.loop }
  /// The name of the listener that the client came by: answers name the brokers' addresses of that listener.
  var listener: String { client.listener }

  /// Any thread. `regions` stand for the response's splices, by token.
  func answer<Response: WireMessage>(_ response: Response, regions: [FileRegion] = []) {
    answer(response, version: version, regions: regions)
  }

  func answer<Response: WireMessage>(
    _ response: Response, version: Int16, regions: [FileRegion] = []
  ) {
    do throws(WireError) {
      try slot.answer(response, version: version, files: regions.map { FileSplice($0) })
    } catch {
      // A field that the version has no place for, or an answer that no frame holds: a limit that is missing here.
      log.error("an answer of version \(version) cannot be written: \(error)")
      slot.close("an answer that cannot be written")
    }
  }

  /// Closes the connection instead of an answer: the request asks for too much, or means nothing.
  func close(_ reason: String) { slot.close(reason) }

  /// Works the answer out on a thread of the I/O pool. Where too much waits there already, `refusal` is the answer,
  /// made here: it must not touch the disk, and says REQUEST_TIMED_OUT, which makes clients try again.
  func answerLater<Response: WireMessage>(
    _ broker: Broker, refusal: () -> Response, _ work: @escaping @Sendable () -> Response
  ) {
    let call = self
    if broker.waitingForIO.take(waitingBytes) {
      let isTaken = broker.ioPool.submit(queueMax: Limits.ioWaitingMax) {
        call.answer(work())
        broker.waitingForIO.give(call.waitingBytes)
      }
      if isTaken { return }
      broker.waitingForIO.give(waitingBytes)
    }
    broker.overload.note {
      broker.log.warning("the disk does not keep up: requests that need it are refused\($0)")
    }
    answer(refusal())
  }
}

extension FileSplice {
  init(_ region: FileRegion) {
    self.init(
      owner: region.file, descriptor: region.descriptor,
      position: Int64(region.position), length: region.length)
  }
}
