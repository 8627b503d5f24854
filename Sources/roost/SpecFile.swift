internal import RoostBase
internal import RoostSpec
internal import RoostSystem

/// Reads spec files for the commands that take one.
enum SpecFile {
  /// The file's bytes; nil when it is not there. "-" is standard input.
  static func read(_ file: String) throws(RoostError) -> [UInt8]? {
    // One more byte than a spec may have, so that the spec's reader says what is wrong with a larger one.
    let most = SpecLimits.documentBytes + 1
    guard file == "-" else { return try HostFiles.read(file, bytesMax: most) }
    return try Terminal.readAll(0, bytesMax: most)
  }
}

/// Addresses as people write them.
enum HostPort {
  static func text(_ host: String, _ port: UInt16) -> String {
    host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
  }
}
