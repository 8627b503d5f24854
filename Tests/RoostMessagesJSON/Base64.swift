import Foundation

/// Base64 with padding; in a file of its own because Foundation has a UUID, too.
func base64Text(of bytes: [UInt8]) -> String { Data(bytes).base64EncodedString() }
