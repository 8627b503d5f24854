import Foundation
import RoostSchema
import Testing

/// What is checked in is what the schemas say.
@Suite struct GeneratedTests {
  private let root = URL(filePath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent()

  private func names(_ folder: String) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: root.path + "/" + folder).sorted()
  }

  @Test(arguments: Generator.products.map(\.module))
  func theGeneratedFilesAreThoseOfTheSchemas(module: String) throws {
    let product = try #require(Generator.products.first { $0.module == module })
    let files = try names(product.schemas).filter { $0.hasSuffix(".schema") }.map { name in
      let path = "\(product.schemas)/\(name)"
      let text = try String(contentsOf: root.appending(path: path), encoding: .utf8)
      return try Parser.parse(path: path, text: text)
    }
    #expect(!files.isEmpty)
    var expected: Set<String> = []
    for output in try Generator.outputs(of: product, from: files) {
      expected.insert(output.path)
      let text = try? String(contentsOf: root.appending(path: output.path), encoding: .utf8)
      #expect(text == output.text, "\(output.path): run roost-codegen")
    }
    for folder in [product.sources, product.faces].compactMap({ $0 }) {
      for name in try names(folder) {
        #expect(expected.contains("\(folder)/\(name)"), "\(folder)/\(name) has no schema")
      }
    }
  }
}
