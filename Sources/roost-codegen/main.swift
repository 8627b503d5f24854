// roost-codegen [--check] [root]: writes the generated sources from schemas/, or says which differ.

import FoundationEssentials
import Glibc
import RoostSchema

/// What the program was asked to do.
struct Request {
  var isCheck = false
  var root = "."

  init(_ arguments: [String]) throws(UsageError) {
    var roots: [String] = []
    for argument in arguments {
      if argument == "--check" {
        isCheck = true
      } else if argument.hasPrefix("-") {
        throw UsageError(text: "unknown option \(argument)")
      } else {
        roots.append(argument)
      }
    }
    guard roots.count <= 1 else { throw UsageError(text: "more than one root") }
    if let only = roots.first { root = only }
  }
}

struct UsageError: Error {
  let text: String
}

func report(_ text: String) {
  let line = Array("roost-codegen: \(text)\n".utf8)
  _ = line.withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
}

/// The files of a folder with an ending, by their names; none when there is no folder.
func names(in folder: String, ending: String) throws -> [String] {
  guard FileManager.default.fileExists(atPath: folder) else { return [] }
  return try FileManager.default.contentsOfDirectory(atPath: folder)
    .filter { $0.hasSuffix(ending) }.sorted()
}

func read(_ path: String) throws -> String {
  let data = try Data(contentsOf: URL(filePath: path))
  return String(decoding: data, as: UTF8.self)
}

/// Brings one product up to date, or lists what is not.
func run(_ product: Generator.Product, _ request: Request) throws -> [String] {
  let folder = "\(request.root)/\(product.schemas)"
  var files: [SchemaFile] = []
  for name in try names(in: folder, ending: ".schema") {
    let path = "\(product.schemas)/\(name)"
    files.append(try Parser.parse(path: path, text: try read("\(request.root)/\(path)")))
  }
  var stale: [String] = []
  var written: Set<String> = []
  for output in files.isEmpty ? [] : try Generator.outputs(of: product, from: files) {
    written.insert(output.path)
    let path = "\(request.root)/\(output.path)"
    if (try? read(path)) == output.text { continue }
    stale.append(output.path)
    if request.isCheck { continue }
    try FileManager.default.createDirectory(
      at: URL(filePath: path).deletingLastPathComponent(), withIntermediateDirectories: true)
    try Data(output.text.utf8).write(to: URL(filePath: path))
  }
  for folder in [product.sources, product.faces].compactMap({ $0 }) {
    for name in try names(in: "\(request.root)/\(folder)", ending: ".swift")
    where !written.contains("\(folder)/\(name)") {
      stale.append("\(folder)/\(name)")
      if !request.isCheck {
        try FileManager.default.removeItem(atPath: "\(request.root)/\(folder)/\(name)")
      }
    }
  }
  return stale
}

do {
  let request = try Request(Array(CommandLine.arguments.dropFirst()))
  var stale: [String] = []
  for product in Generator.products { stale += try run(product, request) }
  if request.isCheck, !stale.isEmpty {
    for path in stale { report("\(path) is not what the schemas say: run roost-codegen") }
    exit(1)
  }
  print(request.isCheck ? "all generated files are up to date" : "\(stale.count) files changed")
} catch let error as UsageError {
  report("\(error.text); usage: roost-codegen [--check] [root]")
  exit(2)
} catch {
  report("\(error)")
  exit(1)
}
