import RoostMessagesJSON
import RoostWire

/// All message types: Kafka's by name, since the corpus counts on their order, then Roost's own.
let types =
  (roostMessagesIndex + roostMessagesStoredIndex).sorted { "\($0)" < "\($1)" }
  + roostMessagesPrivateIndex

/// libFuzzer's entry. An input is two bytes for the type, one for the version, and a body. What
/// reads must have a JSON face; what can be written must read again and come to the same bytes.
@c(LLVMFuzzerTestOneInput)
public func fuzzMessages(_ data: UnsafePointer<UInt8>?, _ size: Int) -> CInt {
  guard let data, size >= 3 else { return 0 }
  let type = types[(Int(data[0]) << 8 | Int(data[1])) % types.count]
  let versions = type.validVersions
  let version = versions.lowerBound + Int16(data[2]) % Int16(versions.count)
  check(type, version, UnsafeRawBufferPointer(start: data + 3, count: size - 3))
  return 0
}

func check<M: JSONMessage>(_ type: M.Type, _ version: Int16, _ body: UnsafeRawBufferPointer) {
  var reader = WireReader(body)
  guard let message = try? M(from: &reader, version: version) else { return }
  precondition(reader.offset <= body.count)
  var face = JSONText()
  message.json(&face, version: version)
  var first = WireWriter()
  do throws(WireError) { try message.encode(into: &first, version: version) } catch { return }
  let bytes = first.bytes()
  bytes.withUnsafeBytes { raw in
    var again = WireReader(raw)
    guard let message = try? M(from: &again, version: version) else {
      preconditionFailure("\(type) v\(version): what was written does not read")
    }
    precondition(again.remaining == 0, "\(type) v\(version): bytes are left of what was written")
    var second = WireWriter()
    do throws(WireError) {
      try message.encode(into: &second, version: version)
    } catch {
      preconditionFailure("\(type) v\(version): what was read does not write")
    }
    precondition(second.bytes() == bytes, "\(type) v\(version): written twice, the bytes differ")
  }
}
