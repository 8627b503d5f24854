public import RoostBase

/// The JSON Schema of a spec (draft 2020-12), for editors: share/roost/spec.schema.json is this text.
public enum SpecSchema {
  public static var json: JSON {
    .object(
      [
        ("$schema", .string("https://json-schema.org/draft/2020-12/schema")),
        ("$id", .string("https://roost.invalid/spec.schema.json")),
        ("title", .string("Roost cluster spec, version 1")),
      ] + members(of: .cluster)
        + [
          (
            "$defs",
            .object([
              ("brokerConfig", settings(.broker)), ("topicConfig", settings(.topic)),
            ])
          )
        ])
  }

  private static func members(of shape: SpecShape) -> [(key: String, value: JSON)] {
    let properties = shape.keys.map { key -> (key: String, value: JSON) in
      (key.name, .object([("description", .string(key.doc))] + members(of: key.type)))
    }
    let required = shape.keys.filter(\.isRequired).map(\.name)
    return [("type", .string("object")), ("additionalProperties", .bool(false))]
      + (required.isEmpty ? [] : [("required", .strings(required))])
      + [("properties", .object(properties))]
  }

  private static let namePattern = "^[a-z0-9][a-z0-9_-]{0,\(SpecLimits.nameLength - 1)}$"
  static let durationPattern = "^[0-9]+([.][0-9]+)? ?(ms|s|m|min|h|d|w)?$"
  static let sizePattern = "^[0-9]+([.][0-9]+)? ?(B|kB|MB|GB|TB|KiB|MiB|GiB|TiB)?$"

  private static func members(of type: SpecShape.ValueShape) -> [(key: String, value: JSON)] {
    switch type {
    case .text: [("type", .string("string")), ("minLength", .int(1))]
    // A name may look like a number to YAML.
    case .name: [("type", .strings(["string", "integer"])), ("pattern", .string(namePattern))]
    case .topicName:
      [
        ("type", .strings(["string", "integer"])),
        ("pattern", .string("^[a-zA-Z0-9._-]{1,\(SpecLimits.topicNameLength)}$")),
      ]
    case .integer(let range):
      [
        ("type", .string("integer")), ("minimum", .int(range.lowerBound)),
        ("maximum", .int(range.upperBound)),
      ]
    case .duration: quantity(durationPattern)
    case .size: quantity(sizePattern)
    case .choice(let choices): [("enum", .strings(choices))]
    case .address:
      [("type", .string("string")), ("pattern", .string("^.+:[0-9]{1,5}$"))]
    case .path: [("type", .string("string")), ("pattern", .string("^/"))]
    case .object(let shape): members(of: shape)
    case .list(let item): [("type", .string("array")), ("items", .object(members(of: item)))]
    case .listeners:
      [
        ("type", .string("object")), ("minProperties", .int(1)),
        (
          "additionalProperties",
          .object([
            (
              "oneOf",
              .array([.object(members(of: .address)), .object(members(of: SpecShape.listener))])
            )
          ])
        ),
      ]
    case .config(let keys): [("$ref", .string("#/$defs/\(keys.name)Config"))]
    case .anyMapping: [("type", .string("object"))]
    }
  }

  private static func quantity(_ pattern: String) -> [(key: String, value: JSON)] {
    [
      ("type", .strings(["string", "integer"])), ("minimum", .int(0)),
      ("pattern", .string(pattern)),
    ]
  }

  /// Kafka's settings that a spec may give.
  private static func settings(_ keys: ConfigKeys) -> JSON {
    let names = keys.names.filter { name in
      let isReplaced = keys.name == "broker" && ConfigKeys.replaced[name] != nil
      return !isReplaced && ConfigKeys.lacking(name) == nil && !ConfigKeys.isClass(name)
        && keys.type(of: name) != .class
    }
    return .object([
      ("type", .string("object")), ("additionalProperties", .bool(false)),
      ("properties", .object(names.map { ($0, .object(setting($0, keys))) })),
    ])
  }

  private static func setting(
    _ name: String, _ keys: ConfigKeys
  ) -> [(key: String, value: JSON)] {
    switch keys.type(of: name) {
    case .boolean: return [("type", .string("boolean"))]
    case .int, .long, .short:
      let least = ConfigKeys.least[name].map { [(key: "minimum", value: JSON.int($0))] } ?? []
      switch ConfigKeys.unit(of: name) {
      case .none: return [("type", .string("integer"))] + least
      case .duration:
        return [("type", .strings(["string", "integer"]))] + least
          + [("pattern", .string(durationPattern))]
      case .bytes:
        return [("type", .strings(["string", "integer"]))] + least
          + [("pattern", .string(sizePattern))]
      }
    case .double: return [("type", .strings(["number", "string"]))]
    case .list: return [("type", .strings(["string", "array"]))]
    default:
      guard let choices = ConfigKeys.choices[name] else {
        return [("type", .strings(["string", "number", "boolean"]))]
      }
      return [("enum", .strings(choices))]
    }
  }
}
