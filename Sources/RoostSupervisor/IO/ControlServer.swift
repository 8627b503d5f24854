internal import RoostBase
internal import RoostMessagesPrivate
internal import RoostSystem
internal import RoostWire

/// A `status` that waits for the metrics of the children.
struct StatusQuery {
  let peer: ControlPeer
  let header: PrivateFrame.Header
  let deadline: Int64
  /// Correlation ids of the questions that are not answered yet.
  var waiting: [Int32: ProcessId]
  var metrics: [ProcessId: [ChildMetricsResponse.Metric]] = [:]
}

/// The control socket: who connects is checked by credentials; the command line asks, children answer.
extension Supervisor {
  func acceptPeers() {
    while let stream = FrameStream.accept(
      from: controlDescriptor, frameBytesMax: Limits.controlFrameBytesMax)
    {
      guard let credentials = PeerCredentials(socket: stream.descriptor), credentials.isTrusted
      else {
        log.warning("refused a connection to the control socket by another user")
        continue
      }
      guard peers.count < Limits.controlConnectionsMax else {
        log.warning("refused a connection to the control socket: there are \(peers.count)")
        continue
      }
      peers.append(ControlPeer(stream: stream, credentials: credentials))
    }
  }

  func dropClosedPeers() {
    for peer in peers where peer.isClosed {
      if let id = peer.child, children[id]?.control === peer { children[id]?.control = nil }
    }
    peers.removeAll { $0.isClosed }
  }

  /// Reads what a peer sent and sends what waits for it.
  func serve(_ peer: ControlPeer) {
    if peer.stream.hasOutput && peer.stream.flush() == .closed { peer.close() }
    let progress = peer.stream.receive { frame in
      var reader = WireReader(frame)
      do throws(WireError) {
        if peer.child == nil {
          try self.request(&reader, peer)
        } else {
          try self.answer(&reader, peer)
        }
      } catch {
        self.log.warning("a frame on the control socket is malformed: \(error)")
        peer.close()
      }
    }
    if progress == .closed { peer.close() }
  }

  private func request(_ reader: inout WireReader, _ peer: ControlPeer) throws(WireError) {
    let header = try PrivateFrame.request(from: &reader)
    switch PrivateApiKey(rawValue: header.apiKey) {
    case .childHello:
      hello(try ChildHelloRequest(from: &reader, version: header.apiVersion), peer, header)
    case .clusterStatus:
      status(try ClusterStatusRequest(from: &reader, version: header.apiVersion), peer, header)
    case .clusterStop:
      _ = try ClusterStopRequest(from: &reader, version: header.apiVersion)
      var response = ClusterStopResponse()
      response.pid = HostFiles.processId()
      peer.answer(response, to: header)
      askToStop(by: "roost down (process \(peer.credentials.pid))")
    default:
      log.warning("a request on the control socket is unknown: API key \(header.apiKey)")
      peer.close()
    }
  }

  /// A child is who the kernel says it is.
  private func hello(
    _ request: ChildHelloRequest, _ peer: ControlPeer, _ header: PrivateFrame.Header
  ) {
    let child = children.values.first { $0.life?.process.pid == peer.credentials.pid }
    var response = ChildHelloResponse()
    guard let child else {
      response.errorCode = -1
      response.errorMessage = "process \(peer.credentials.pid) is no child of this roostd"
      peer.answer(response, to: header)
      return
    }
    peer.answer(response, to: header)
    peer.child = child.plan.id
    child.control = peer
  }

  // MARK: Status

  private func status(
    _ request: ClusterStatusRequest, _ peer: ControlPeer, _ header: PrivateFrame.Header
  ) {
    var query = StatusQuery(
      peer: peer, header: header, deadline: now + Limits.metricsTimeoutMillis, waiting: [:])
    if request.withMetrics {
      for child in children.values {
        guard let control = child.control else { continue }
        let correlation = nextCorrelation
        nextCorrelation &+= 1
        guard
          let frame = try? PrivateFrame.request(
            ChildMetricsRequest(), version: 1, correlationId: correlation)
        else { continue }
        control.send(frame)
        query.waiting[correlation] = child.plan.id
      }
    }
    statusQueries.append(query)
  }

  /// A child's answer to a question for metrics.
  private func answer(_ reader: inout WireReader, _ peer: ControlPeer) throws(WireError) {
    let correlation = try PrivateFrame.response(from: &reader)
    let response = try ChildMetricsResponse(from: &reader, version: 1)
    for index in statusQueries.indices {
      if let id = statusQueries[index].waiting.removeValue(forKey: correlation) {
        statusQueries[index].metrics[id] = response.metrics
      }
    }
  }

  /// Answers each status that has all it waited for, or waited long enough.
  func finishStatusQueries() {
    guard !statusQueries.isEmpty else { return }
    for query in statusQueries where isComplete(query) {
      query.peer.answer(statusResponse(query.metrics), to: query.header)
    }
    statusQueries.removeAll { isComplete($0) || $0.peer.isClosed }
  }

  private func isComplete(_ query: StatusQuery) -> Bool {
    query.waiting.isEmpty || now >= query.deadline
  }

  private func statusResponse(
    _ metrics: [ProcessId: [ChildMetricsResponse.Metric]]
  ) -> ClusterStatusResponse {
    var response = ClusterStatusResponse()
    response.clusterName = plan.cluster
    response.host = plan.host
    response.release = Release.version
    response.state = core.phaseName
    response.statusText = core.statusText
    response.pid = HostFiles.processId()
    response.uptimeMs = now - startedAt
    response.memoryBytes = ProcFS.memory(pid: HostFiles.processId())?.anonymous ?? 0
    response.specPath = plan.specPath
    response.stateDirectory = plan.directories.state
    response.processes = core.order.compactMap { id in
      guard let machine = core.machines[id], let child = children[id] else { return nil }
      return describe(machine, child, metrics[id] ?? [])
    }
    return response
  }

  private func describe(
    _ machine: ProcessMachine, _ child: Child, _ metrics: [ChildMetricsResponse.Metric]
  ) -> ClusterStatusResponse.Process {
    var process = ClusterStatusResponse.Process()
    process.role = child.plan.id.role.rawValue
    process.instance = child.plan.id.instance
    process.state = machine.state.name
    process.detail = machine.state.detail(now: now)
    process.statusText = machine.statusText
    process.restarts = Int32(clamping: machine.restarts)
    process.lastExit = machine.lastExit
    process.logPath = child.logPath
    if case .stopping(_, let killAt?, _, _) = machine.state {
      process.killInMs = max(killAt - now, 0)
    }
    if let life = machine.state.life {
      process.pid = life.pid
      process.uptimeMs = now - life.startedAt
      let memory = ProcFS.memory(pid: life.pid)
      process.memoryBytes = memory?.anonymous ?? 0
      process.residentBytes = memory?.resident ?? 0
      process.cpuMs = ProcFS.cpuMillis(pid: life.pid) ?? 0
    }
    process.listeners = child.listeners.map { listener in
      var entry = ClusterStatusResponse.Listener()
      entry.name = listener.name
      entry.address = listener.socket.address
      entry.isOpen = listener.socket.isOpen
      return entry
    }
    process.metrics = metrics.map { metric in
      var entry = ClusterStatusResponse.Metric()
      entry.name = metric.name
      entry.value = metric.value
      return entry
    }
    return process
  }
}

/// This release of Roost.
public enum Release {
  public static let version = "0.1.0"
}
