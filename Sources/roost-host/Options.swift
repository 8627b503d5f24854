internal import RoostBase
internal import RoostSystem

/// What roost-host was asked to do: its arguments, then the environment that a supervisor sets.
struct Options {
  static let usage = """
    usage: roost-host [OPTION...] MODULE.so
      --role ROLE              coordinator, broker, interceptor or partitioner   (ROOST_ROLE)
      --id ID                  the id or name within the role                    (ROOST_ID)
      --cluster NAME           for the log                                       (ROOST_CLUSTER)
      --config FILE            the slice of the spec, where no descriptor named "config" is inherited
      --listen NAME=ADDRESS    opens a listener: HOST:PORT, or unix:PATH; may be repeated
      --log-level LEVEL        error, warning, notice, info, debug               (ROOST_LOG_LEVEL)
      --log-format FORMAT      human, json, journal; default: by where standard error goes (ROOST_LOG_FORMAT)

    Runs one module under a supervisor (NOTIFY_SOCKET, LISTEN_FDS, WATCHDOG_USEC), under a systemd unit of its own,
    or by hand. SIGTERM or Ctrl-C asks it to finish; a second one ends it at once.
    """

  struct Listen {
    let name: String
    let address: String
  }

  var module = ""
  var role: String
  var instance: String
  var cluster: String
  var configPath: String?
  var listens: [Listen] = []
  var logLevel: Severity
  var logFormat: String?

  init(arguments: [String], environment: [String: String]) throws(RoostError) {
    role = environment["ROOST_ROLE"] ?? "module"
    instance = environment["ROOST_ID"] ?? "0"
    cluster = environment["ROOST_CLUSTER"] ?? ""
    logFormat = environment["ROOST_LOG_FORMAT"]
    logLevel = environment["ROOST_LOG_LEVEL"].flatMap { Severity(named: $0) } ?? .info
    var rest = arguments.dropFirst()
    while let argument = rest.popFirst() {
      guard argument.hasPrefix("--") else {
        guard module.isEmpty else {
          throw RoostError(.invalid, "one module only: \"\(argument)\" is a second one")
        }
        module = argument
        continue
      }
      guard let value = rest.popFirst() else {
        throw RoostError(.invalid, "\(argument) is unknown or lacks its value")
      }
      try set(argument, value)
    }
    guard !module.isEmpty else { throw RoostError(.invalid, "no module is named") }
  }

  private mutating func set(_ option: String, _ value: String) throws(RoostError) {
    switch option {
    case "--role": role = value
    case "--id": instance = value
    case "--cluster": cluster = value
    case "--config": configPath = value
    case "--log-format": logFormat = value
    case "--log-level":
      guard let level = Severity(named: value) else {
        throw RoostError(
          .invalid,
          "--log-level takes error, warning, notice, info or debug, not \"\(value)\"")
      }
      logLevel = level
    case "--listen":
      guard let equals = value.firstIndex(of: "="), equals != value.startIndex else {
        throw RoostError(.invalid, "--listen takes NAME=ADDRESS, not \"\(value)\"")
      }
      listens.append(
        Listen(
          name: String(value[..<equals]), address: String(value[value.index(after: equals)...])))
    default: throw RoostError(.invalid, "unknown option \"\(option)\"")
    }
  }
}
