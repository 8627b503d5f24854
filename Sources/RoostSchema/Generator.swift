/// From schema files to the files that are checked in.
public enum Generator {
  /// A file to be, by its path from the root of the repository.
  public struct Output: Sendable {
    public let path: String
    public let text: String
  }

  /// A folder of schemas, and the module that its messages make up.
  public struct Product: Sendable {
    /// From the root of the repository.
    public let schemas: String
    public let sources: String
    /// The module's name.
    public let module: String
    /// The enum of all API keys, where the folder has requests.
    let keysName: String?
    /// Where the JSON face for the tests goes.
    public let faces: String?
  }

  public static let products = [
    Product(
      schemas: "schemas/kafka/api", sources: "Sources/RoostMessages/Generated",
      module: "RoostMessages", keysName: "ApiKey",
      faces: "Tests/RoostMessagesJSON/Generated/RoostMessages"),
    Product(
      schemas: "schemas/kafka/stored", sources: "Sources/RoostMessagesStored/Generated",
      module: "RoostMessagesStored", keysName: nil,
      faces: "Tests/RoostMessagesJSON/Generated/RoostMessagesStored"),
    Product(
      schemas: "schemas/roost", sources: "Sources/RoostMessagesPrivate/Generated",
      module: "RoostMessagesPrivate", keysName: "PrivateApiKey",
      faces: "Tests/RoostMessagesJSON/Generated/RoostMessagesPrivate"),
  ]

  /// Everything that is generated from a product's schema files, given in the order of their paths.
  public static func outputs(
    of product: Product, from files: [SchemaFile]
  ) throws(SchemaError) -> [Output] {
    try checkNumbers(files)
    var outputs: [Output] = []
    for file in files {
      outputs.append(
        Output(path: "\(product.sources)/\(stem(file.path)).swift", text: messages(of: file)))
      if let faces = product.faces {
        outputs.append(
          Output(
            path: "\(faces)/\(stem(file.path))JSON.swift",
            text: JSONEmitter.emit(file, module: product.module)))
      }
    }
    let all = files.flatMap(\.messages)
    if let name = product.keysName, all.contains(where: { $0.kind.isRequest }) {
      outputs.append(
        Output(path: "\(product.sources)/\(name).swift", text: KeysEmitter.emit(name, all)))
    }
    for family in families(all) {
      let name = "\(Naming.upperFirst(family))Record"
      outputs.append(
        Output(
          path: "\(product.sources)/\(name).swift",
          text: FamilyEmitter.emit(name, family: family, all)))
    }
    if let faces = product.faces {
      outputs.append(
        Output(
          path: "\(faces)/\(product.module)Index.swift",
          text: JSONEmitter.emitIndex(all, module: product.module)))
    }
    return outputs
  }

  private static func messages(of file: SchemaFile) -> String {
    var out = Source()
    out.lines(generatedHeader)
    out.line()
    if usesUUID(file) { out.line("public import RoostBase") }
    out.line("public import RoostWire")
    for message in file.messages {
      out.line()
      SwiftEmitter(message).emit(into: &out)
    }
    return out.text
  }

  static func usesUUID(_ file: SchemaFile) -> Bool {
    file.messages.contains { message in
      ([message.root] + message.structures).contains { structure in
        structure.fields.contains { field in
          field.type == .scalar(.uuid) || field.type == .array(.scalar(.uuid))
        }
      }
    }
  }

  private static func families(_ messages: [Message]) -> [String] {
    var names: [String] = []
    for message in messages {
      if case .record(let family, _) = message.kind, !names.contains(family) {
        names.append(family)
      }
    }
    return names
  }

  /// The name of a schema file without folder and ending.
  static func stem(_ path: String) -> String {
    let name = path.split(separator: "/").last.map(String.init) ?? path
    return name.split(separator: ".").first.map(String.init) ?? name
  }

  /// No name and no number is there twice.
  private static func checkNumbers(_ files: [SchemaFile]) throws(SchemaError) {
    var seen: Set<String> = []
    for file in files {
      for message in file.messages {
        for mark in [message.name, message.kind.mark] where !mark.isEmpty {
          guard seen.insert(mark).inserted else {
            throw SchemaError(
              file: file.path, line: 1, column: 1, message: "\(message.name): \(mark) is taken")
          }
        }
      }
    }
  }
}

extension Message.Kind {
  var isRequest: Bool { if case .request = self { true } else { false } }

  /// What must be unique in a product; empty where nothing must.
  fileprivate var mark: String {
    switch self {
    case .request(let key): "request key \(key)"
    case .response(let key): "response key \(key)"
    case .record(let family, let id): "record \(id) of \(family)"
    case .key(let family, let id): "key \(id) of \(family)"
    case .value(let family, let id): "value \(id) of \(family)"
    case .header, .data: ""
    }
  }
}
