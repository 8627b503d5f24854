/// Base64 with padding (RFC 4648, section 4).
func base64Text(of bytes: [UInt8]) -> String {
  let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
  var text: [UInt8] = []
  text.reserveCapacity((bytes.count + 2) / 3 * 4)
  var at = 0
  while at < bytes.count {
    let some = min(3, bytes.count - at)
    var group: UInt32 = 0
    for n in 0..<3 { group = group << 8 | (n < some ? UInt32(bytes[at + n]) : 0) }
    for n in 0..<4 {
      text.append(n <= some ? alphabet[Int(group >> UInt32(18 - 6 * n) & 63)] : UInt8(ascii: "="))
    }
    at += 3
  }
  return String(decoding: text, as: UTF8.self)
}
