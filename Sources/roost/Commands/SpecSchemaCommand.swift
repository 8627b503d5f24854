internal import RoostCLI
internal import RoostSpec

extension Commands {
  /// roost spec schema
  static let specSchema = Command(
    "spec schema", summary: "Print the JSON Schema of cluster specs, for editors"
  ) { _ in
    Console.out(SpecSchema.json)
  }
}
