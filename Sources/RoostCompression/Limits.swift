/// Every size and ratio this module decides by.
enum Limits {
  /// No output is larger than this, whatever limit a caller names: sizes of records are 32-bit in Kafka's formats.
  static let outputBytesMax = Int(Int32.max)
  /// The first guess of an output's size, as a multiple of the input's.
  static let firstGuessRatio = 4
  /// A size that a zstd frame claims is believed up to this multiple of the frame's own size; a larger one is grown
  /// into while data really comes.
  static let claimedSizeRatioMax = 64
  /// The smallest first guess, in bytes.
  static let firstGuessBytesMin = 16 << 10
  /// How the output of a zstd frame grows from one try to the next.
  static let retryGrowth = 4
  /// Java's snappy streams cut their input into blocks of this many bytes.
  static let snappyBlockBytes = 32 << 10
  /// Inputs of zlib are counted in 32 bits.
  static let inputBytesMax = Int(UInt32.max)
}
