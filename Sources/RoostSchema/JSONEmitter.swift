/// Writes the JSON face of messages, for tests alone: the text that Kafka's converters write.
enum JSONEmitter {
  static func emit(_ file: SchemaFile, module: String) -> String {
    var out = Source()
    out.lines(generatedHeader)
    out.line()
    if Generator.usesUUID(file) { out.line("import RoostBase") }
    out.line("public import \(module)")
    for message in file.messages {
      for structure in [message.root] + message.structures {
        let isRoot = structure.name == message.name
        let name = isRoot ? message.name : "\(message.name).\(structure.name)"
        out.line()
        out.block("extension \(name): \(isRoot ? "JSONMessage" : "JSONFace")") { out in
          out.block("public func json(_ out: inout JSONText, version: Int16)") { out in
            out.line("out.beginObject()")
            for field in structure.fields { face(field, in: structure, of: message, &out) }
            out.line("out.endObject()")
          }
        }
      }
    }
    return out.text
  }

  private static func face(
    _ field: Field, in structure: Structure, of message: Message, _ out: inout Source
  ) {
    let context = structure.versions.intersection(message.versions)
    let needsVersion = field.type.structureName != nil
    let write = "out.field(\"\(field.name)\", self.\(field.name)\(needsVersion ? ", version" : ""))"
    let plain = Naming.condition(field.plain, within: context)
    switch plain {
    case .always: out.line(write)
    case .when(let text, _): out.line("if \(text) { \(write) }")
    case .never: break
    }
    guard field.tag != nil else { return }
    switch Naming.condition(field.tagged, within: context) {
    case .always: out.line("if \(Naming.isSet(field)) { \(write) }")
    case .when(let text, _): out.line("if \(text), \(Naming.isSet(field)) { \(write) }")
    case .never: break
    }
  }

  /// All messages of a module by name.
  static func emitIndex(_ messages: [Message], module: String) -> String {
    var out = Source()
    out.lines(generatedHeader)
    out.line()
    out.line("import \(module)")
    out.line()
    out.line("/// Every message of \(module), by its name.")
    out.line("public let \(Naming.lowerFirst(module))Index: [any JSONMessage.Type] = [")
    for message in messages { out.line("  \(message.name).self,") }
    out.line("]")
    return out.text
  }
}
