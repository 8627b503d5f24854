/// The limits of this module: schemas are written by people, and mistakes are caught early.
enum Limits {
  /// Bytes of one schema file.
  static let fileBytesMax = 1 << 20
  /// Structs inside structs.
  static let depthMax = 16
  /// The highest version of any message.
  static let versionMax = 32_767
}
