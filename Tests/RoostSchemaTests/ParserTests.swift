import RoostSchema
import Testing

@Suite struct ParserTests {
  private func parse(_ text: String) throws -> SchemaFile {
    try Parser.parse(path: "t.schema", text: text)
  }

  /// The text that parsing fails with.
  private func failure(_ text: String) -> String {
    do throws(SchemaError) {
      _ = try Parser.parse(path: "t.schema", text: text)
      return "no error"
    } catch {
      return error.description
    }
  }

  @Test func aMessageIsReadWithItsVersionsWrittenOut() throws {
    let file = try parse(
      """
      # what comes first
      request ThingRequest key 42 versions 1-4 flexible 3+ unstable {
        name   string  null 2+ default null  # trailing
        count  int32   2+ default -1 ignorable
        parts  []Part  3+ {
          id  uuid
        }
        node   Node    3+ tag 0

        struct Node 2+ {
          id  int64
        }
      }
      """)
    let message = try #require(file.messages.first)
    #expect(message.kind == .request(key: 42))
    #expect(message.versions == Versions(1, 4))
    #expect(message.flexible == Versions(3, 4))
    #expect(message.isLatestUnstable)
    #expect(message.root.fields.map(\.name) == ["name", "count", "parts", "node"])
    #expect(message.root.fields[0].versions == Versions(1, 4))
    #expect(message.root.fields[0].nullable == Versions(2, 4))
    #expect(message.root.fields[0].initial == .null)
    #expect(message.root.fields[1].initial == .integer(-1))
    #expect(message.root.fields[1].isIgnorable)
    #expect(message.root.fields[2].type == .array(.structure("Part")))
    #expect(message.root.fields[3].tagged == Versions(3, 4))
    #expect(message.structure(named: "Part")?.versions == Versions(3, 4))
    #expect(message.structure(named: "Node")?.versions == Versions(2, 4))
  }

  @Test(arguments: [
    ("thing X", "t.schema:1:1: expected request, response, header, record, key, value or data"),
    ("data x versions 0", "t.schema:1:6: expected a message's name that begins with a capital"),
    ("data X versions 3-1", "t.schema:1:17: expected versions, such as 3, 0-4, 2+ or none"),
    ("data X versions 0+ flexible none {", "t.schema:1:17: a message's versions end at a number"),
    ("data X versions 0 flexible none {\n  a  int31\n}\n", "t.schema:2:6: int31 is no type"),
    (
      "data X versions 0 flexible none {\n  a  int32 nul\n}\n",
      "t.schema:2:12: expected null, tag, default, ignorable or flexible none"
    ),
    (
      "data X versions 0 flexible none {\n  a  int32\n  a  int8\n}\n",
      "t.schema:3:3: the field a is there twice"
    ),
    ("data X versions 0 flexible none {\n  a  []bytes\n}\n", "t.schema:2:6: an array of bytes"),
    (
      "data X versions 0 flexible none {\n  a  int8 1+\n}\n",
      "t.schema:2:3: the field a is in no version of what encloses it"
    ),
    (
      "data X versions 0 flexible none {\n  a  string default \"x\n}\n",
      "t.schema:2:21: a string that does not end on its line"
    ),
    (
      "data X versions 0 flexible none {\n  a  Node\n}\n",
      "t.schema:1:1: X: X.a: the struct Node is not defined"
    ),
    (
      "data X versions 0 flexible none {\n  a  int8 default 128\n}\n",
      "t.schema:1:1: X: X.a cannot have this default"
    ),
    (
      "data X versions 0 flexible none {\n  a  string default null\n}\n",
      "t.schema:1:1: X: X.a cannot have this default"
    ),
    (
      "data X versions 0-1 flexible 1+ {\n  a  int8 tag 0\n}\n",
      "t.schema:1:1: X: X.a has a tag in versions that are not flexible"
    ),
    (
      "data X versions 0 flexible 0+ {\n  a  int8 tag 1\n}\n",
      "t.schema:1:1: X: the tags of X are not 0, 1, 2 and so on"
    ),
    (
      "data X versions 0 flexible none {\n  a  []X1 {\n    b  []X1\n  }\n}\n",
      "t.schema:1:1: X: the struct X1 holds itself"
    ),
    (
      "data X versions 0 flexible none {\n  a  %\n}\n",
      "t.schema:2:6: a character that has no meaning here"
    ),
    (
      "data X versions 0 flexible none {\n  a  int8\n",
      "t.schema:3:1: expected a field's name"
    ),
  ])
  func mistakesAreNamedWithTheirPlace(text: String, expected: String) {
    #expect(failure(text).hasPrefix(expected), "\(failure(text))")
  }

  @Test func aNumberIsTakenOnlyOnce() throws {
    let file = try parse(
      """
      request ARequest key 1 versions 0 flexible none {
      }
      request BRequest key 1 versions 0 flexible none {
      }
      """)
    #expect(throws: SchemaError.self) {
      try Generator.outputs(of: Generator.products[0], from: [file])
    }
  }
}
