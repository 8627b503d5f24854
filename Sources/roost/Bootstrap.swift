internal import RoostBase
internal import RoostCLI
internal import RoostClient
internal import RoostMessagesPrivate
internal import RoostSupervisor
internal import RoostSystem

extension Command.Option {
  static let bootstrap = Command.Option(
    "bootstrap", short: "b", value: "HOST:PORT,...",
    help: "Brokers to ask first; without it ROOST_BOOTSTRAP, else the cluster that runs here")

  /// What every command that talks to brokers takes.
  static let connection: [Command.Option] = [.bootstrap, .cluster, .runtime]
}

/// Finds the cluster that a command means.
enum Bootstrap {
  /// A client for the cluster that the options name, or the one that runs here. `notice` says on standard error what it
  /// repeats; `timeoutMillis`: how long one operation may take where that is not to be the client's own.
  static func client(
    _ arguments: Arguments, notice: RetryNotice? = RetryNotice(), timeoutMillis: Int64? = nil
  ) throws -> Client {
    var configuration = ClientConfiguration(bootstrapServers: try servers(arguments))
    // A person waits: long enough for a broker that is starting, no longer.
    configuration.bootstrapTimeoutMillis = 3_000
    if let timeoutMillis {
      configuration.apiTimeoutMillis = min(configuration.apiTimeoutMillis, timeoutMillis)
      configuration.connectTimeoutMillis = min(configuration.connectTimeoutMillis, timeoutMillis)
      configuration.requestTimeoutMillis = min(configuration.requestTimeoutMillis, timeoutMillis)
    }
    if let notice { configuration.onRetry = { notice.note($0) } }
    return try Client(configuration)
  }

  private static func servers(_ arguments: Arguments) throws(RoostError) -> [String] {
    if let text = arguments["bootstrap"] ?? Terminal.environment("ROOST_BOOTSTRAP") {
      return text.split(separator: ",").map { String($0) }
    }
    let status: ClusterStatusResponse
    do throws(RoostError) {
      status = try ClusterControl.open(arguments).status(withMetrics: false)
    } catch {
      throw RoostError(
        error.code, "\(error); or name a broker of another cluster with -b HOST:PORT")
    }
    let open = status.processes.filter { $0.role == "broker" }
      .flatMap(\.listeners).filter(\.isOpen).map { connectable($0.address) }
    guard !open.isEmpty else {
      throw RoostError(
        .unavailable,
        "no broker of the cluster \(status.clusterName) is open to clients;"
          + " \"roost status\" says what they are doing")
    }
    return open
  }

  /// An address to connect to for one that is bound: every address means this machine.
  static func connectable(_ address: String) -> String {
    guard let endpoint = Endpoint(address) else { return address }
    switch endpoint.host {
    case "0.0.0.0": return Endpoint(host: "127.0.0.1", port: endpoint.port).description
    case "::": return Endpoint(host: "::1", port: endpoint.port).description
    default: return address
    }
  }
}
