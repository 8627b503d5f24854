internal import CRoostLinux

/// CRC-32C (Castagnoli), the checksum of Kafka's record batches. In hardware where the processor can.
public enum CRC32C {
  /// The checksum of `bytes`, continuing from `seed` (0 at the start).
  public static func checksum(_ bytes: UnsafeRawBufferPointer, seed: UInt32 = 0) -> UInt32 {
    roost_crc32c(seed, bytes.baseAddress, bytes.count)
  }
}
