/// Writes the enum over all records of a family: what a reader of their log meets.
enum FamilyEmitter {
  static func emit(_ name: String, family: String, _ messages: [Message]) -> String {
    var records: [(caseName: String, message: Message)] = []
    for message in messages {
      guard case .record(family, _) = message.kind else { continue }
      records.append((caseName(message), message))
    }
    records.sort { $0.message.kind.number < $1.message.kind.number }
    var out = Source()
    out.lines(generatedHeader)
    out.line()
    out.line("public import RoostWire")
    out.line()
    out.line("/// Any record of the family \(family).")
    out.block("public enum \(name): Sendable") { out in
      for record in records { out.line("case \(record.caseName)(\(record.message.name))") }
      out.line()
      out.line("/// The number that names the record's kind.")
      out.block("public var type: Int16") { out in
        out.cases(of: "self") { out in
          for record in records {
            out.line("case .\(record.caseName): \(record.message.kind.number)")
          }
        }
      }
      out.line()
      out.line("/// Reads the body of a record of the given kind and version.")
      out.block(
        "public init(type: Int16, version: Int16, from reader: inout WireReader) throws(WireError)"
      ) { out in
        out.cases(of: "type") { out in
          for record in records {
            out.line(
              "case \(record.message.kind.number): self = .\(record.caseName)(try \(record.message.name)(from: &reader, version: version))"
            )
          }
          out.line("default: throw WireError(\"a record of an unknown kind\", at: reader.offset)")
        }
      }
      out.line()
      out.line("/// Writes the body alone, without kind and version.")
      out.block(
        "public func encode(into writer: inout WireWriter, version: Int16) throws(WireError)"
      ) { out in
        out.cases(of: "self") { out in
          for record in records {
            out.line(
              "case .\(record.caseName)(let record): try record.encode(into: &writer, version: version)"
            )
          }
        }
      }
    }
    return out.text
  }

  private static func caseName(_ message: Message) -> String {
    let name =
      message.name.hasSuffix("Record") ? String(message.name.dropLast(6)) : message.name
    return Naming.declared(Naming.lowerFirst(name))
  }
}
