// swift-tools-version: 6.2
// Roost: Kafka as one native Linux system. The module graph is docs/architecture.md; arrows never cycle
// and never point up.
import Foundation
import PackageDescription

// The strict settings every Swift target gets (STYLE: Swift 6 mode, warnings are errors).
let strict: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .treatAllWarnings(as: .error),
]
// For modules on the produce and fetch paths: the run-time check for overlapping accesses to class properties stays in
// debug builds, where the tests run, and goes from release builds (docs/decisions/0003).
let dataPlane: [SwiftSetting] =
  strict + [.unsafeFlags(["-enforce-exclusivity=unchecked"], .when(configuration: .release))]
let strictC: [CSetting] = [.unsafeFlags(["-Wall", "-Wextra", "-Werror", "-std=gnu17"])]

let root = Context.packageDirectory
@MainActor func exists(_ path: String) -> Bool {
  FileManager.default.fileExists(atPath: root + "/" + path)
}

var targets: [Target] = []
var products: [Product] = []

@MainActor func deps(_ names: [String]) -> [Target.Dependency] {
  names.map { .init(stringLiteral: $0) }
}

/// A Swift library target in Sources/<name>, and its tests in Tests/<name>Tests, which may need more (`testing`). What is
/// not `tested` there is by the tests of the modules that use it.
@MainActor func module(
  _ name: String, _ dependencies: [String] = [], testing: [String] = [], tested: Bool = true,
  settings: [SwiftSetting] = strict
) {
  targets.append(
    .target(
      name: name, dependencies: deps(dependencies), exclude: readme(name), swiftSettings: settings))
  guard tested else { return }
  targets.append(
    .testTarget(
      name: "\(name)Tests", dependencies: deps([name] + dependencies + testing),
      swiftSettings: strict))
}

@MainActor func readme(_ name: String) -> [String] {
  exists("Sources/\(name)/README.md") ? ["README.md"] : []
}

/// A C target: shims that Swift cannot express, or a public ABI header.
@MainActor func cmodule(_ name: String, linked: [LinkerSetting] = []) {
  targets.append(
    .target(name: name, exclude: readme(name), cSettings: strictC, linkerSettings: linked))
}

/// A C library of the system (Debian's -dev package), as a module map in Sources/<name>.
@MainActor func system(_ name: String) {
  targets.append(.systemLibrary(name: name, path: "Sources/\(name)"))
}

/// A shared object that roost-host dlopens: one exported symbol, bound to itself.
@MainActor func sharedObject(
  _ name: String, target: String, _ dependencies: [String], exports: String
) {
  targets.append(
    .target(
      name: target, dependencies: deps(dependencies), exclude: readme(target),
      swiftSettings: strict,
      linkerSettings: [
        .unsafeFlags([
          "-Xlinker", "--version-script=\(root)/\(exports)", "-Xlinker", "-Bsymbolic",
        ])
      ]))
  products.append(.library(name: name, type: .dynamic, targets: [target]))
}

@MainActor func program(_ name: String, _ dependencies: [String]) {
  targets.append(
    .executableTarget(
      name: name, dependencies: deps(dependencies), exclude: readme(name), swiftSettings: strict))
  products.append(.executable(name: name, targets: [name]))
}

/// An executable in C alone.
@MainActor func cprogram(_ name: String, linked: [LinkerSetting] = []) {
  targets.append(
    .executableTarget(
      name: name, exclude: readme(name), cSettings: strictC, linkerSettings: linked))
  products.append(.executable(name: name, targets: [name]))
}

// C: shims, ABIs, and the libraries of the system.
cmodule("CRoostLinux")
cmodule("CRoostModule")
cmodule("CRoostPlugin")
// libraft comes in as the archive, so that the linker can lead two of its symbols to ours (docs/decisions/0007).
cmodule(
  "CRoostRaft",
  linked: [
    .unsafeFlags([
      "-Xlinker", "--wrap=io_destroy", "-Xlinker", "--wrap=stderr", "-Xlinker", "-l:libraft.a",
    ]),
    .linkedLibrary("uv"), .linkedLibrary("lz4"),
  ])
system("CYAML")
system("CSystemd")
system("CZlib")
system("CZstd")
system("CLZ4")
system("CSnappy")

// The floor: no I/O, then every syscall, then the loop.
module("RoostBase", ["CRoostLinux"])
module("RoostSystem", ["RoostBase", "CRoostLinux"])
module("RoostReactor", ["RoostBase", "RoostSystem", "CRoostLinux"], settings: dataPlane)

// The wire.
module("RoostWire", ["RoostBase"])
module("RoostCompression", ["RoostBase", "CZlib", "CZstd", "CLZ4", "CSnappy"])
// The JSON face of the messages: for the tests alone, generated beside them.
targets.append(
  .target(
    name: "RoostMessagesJSON",
    dependencies: deps([
      "RoostBase", "RoostWire", "RoostMessages", "RoostMessagesStored", "RoostMessagesPrivate",
    ]),
    path: "Tests/RoostMessagesJSON", swiftSettings: strict))
// Counts allocations, for the tests alone.
targets.append(
  .target(name: "CRoostAllocations", path: "Tests/CRoostAllocations", cSettings: strictC))
module(
  "RoostMessages", ["RoostBase", "RoostWire"],
  testing: ["RoostMessagesStored", "RoostMessagesJSON", "CZlib", "CRoostAllocations"])
module("RoostMessagesStored", ["RoostBase", "RoostWire"], tested: false)
module("RoostMessagesPrivate", ["RoostBase", "RoostWire"], tested: false)
module(
  "RoostRecords", ["RoostBase", "RoostWire", "RoostCompression"], testing: ["CRoostAllocations"])
module("RoostSchema", ["RoostBase"])

// What every module that roost-host dlopens begins with.
module(
  "RoostModuleKit", ["RoostBase", "RoostSystem", "RoostReactor", "CRoostModule"], tested: false)

// The roles.
module(
  "RoostStorage",
  ["RoostBase", "RoostSystem", "RoostWire", "RoostRecords"],
  testing: ["RoostSimulation", "RoostCompression"], settings: dataPlane)
module(
  "RoostNetwork",
  ["RoostBase", "RoostSystem", "RoostReactor", "RoostWire", "RoostMessages"], settings: dataPlane)
// Disks, a clock and a network for libraft, for the tests alone.
targets.append(
  .target(
    name: "CRoostRaftSimulation", dependencies: ["CRoostRaft"], path: "Tests/CRoostRaftSimulation",
    cSettings: strictC))
module("RoostMetadata", ["RoostBase", "RoostWire", "RoostMessages", "RoostMessagesStored"])
module(
  "RoostCoordinator",
  [
    "RoostBase", "RoostSystem", "RoostReactor", "RoostWire", "RoostMessages", "RoostMessagesStored",
    "RoostMessagesPrivate", "RoostMetadata", "RoostNetwork", "CRoostRaft", "CRoostLinux",
    "RoostModuleKit", "CRoostModule",
  ],
  testing: ["RoostCompression", "CRoostRaftSimulation"])
module(
  "RoostBroker",
  [
    "RoostBase", "RoostSystem", "RoostReactor", "RoostWire", "RoostMessages", "RoostMessagesStored",
    "RoostMessagesPrivate", "RoostMetadata", "RoostNetwork", "RoostRecords", "RoostStorage",
    "RoostCompression", "CRoostLinux", "RoostModuleKit", "CRoostModule",
  ], testing: ["RoostSimulation"], settings: dataPlane)
module("RoostPluginKit", ["CRoostPlugin"], tested: false)
module(
  "RoostPluginHost",
  [
    "RoostBase", "RoostSystem", "RoostReactor", "RoostWire", "RoostMessages",
    "RoostMessagesPrivate",
    "RoostNetwork", "RoostRecords", "RoostCompression", "CRoostPlugin", "CRoostLinux",
    "RoostModuleKit", "CRoostModule",
  ], testing: ["RoostPluginKit"])
module("RoostCLI", ["RoostBase", "RoostSystem"])
module("RoostSpec", ["RoostBase", "CYAML"])
module(
  "RoostSupervisor",
  ["RoostBase", "RoostSystem", "RoostWire", "RoostMessagesPrivate", "RoostSpec", "CSystemd"])
module(
  "RoostClient",
  [
    "RoostBase", "RoostSystem", "RoostReactor", "RoostWire", "RoostMessages", "RoostNetwork",
    "RoostRecords", "RoostCompression", "CRoostLinux",
  ])
module("RoostSimulation", ["RoostBase", "RoostSystem"], tested: false)

// What roost-host dlopens.
let moduleExports = "Sources/CRoostModule/module.exports"
sharedObject(
  "roost-broker", target: "RoostBrokerModule", ["RoostBroker", "RoostModuleKit", "CRoostModule"],
  exports: moduleExports)
sharedObject(
  "roost-coordinator", target: "RoostCoordinatorModule",
  ["RoostCoordinator", "RoostModuleKit", "CRoostModule"],
  exports: moduleExports)
sharedObject(
  "roost-plugin-host", target: "RoostPluginHostModule",
  ["RoostPluginHost", "RoostModuleKit", "CRoostModule"],
  exports: moduleExports)

// A module for the tests of the supervisor, and of roost-host.
targets.append(
  .target(
    name: "RoostTestModule", dependencies: ["CRoostModule"], path: "Tests/Modules/TestModule",
    cSettings: strictC))
products.append(
  .library(name: "roost-test-module", type: .dynamic, targets: ["RoostTestModule"]))

// Thin executables: parse, wire up, run.
// Alone and static, no Swift runtime: it lives between spawn and exec.
cprogram(
  "roost-exec",
  linked: [
    .unsafeFlags([
      "-nostartfiles", "-static-stdlib", "-Xclang-linker", "-static", "-Xclang-linker",
      "-Wno-unused-command-line-argument",
    ])
  ])
program("roost-codegen", ["RoostSchema", "RoostBase"])
program(
  "roost-host",
  ["RoostBase", "RoostSystem", "RoostWire", "RoostMessagesPrivate", "CRoostLinux", "CRoostModule"])
program("roostd", ["RoostBase", "RoostSystem", "RoostSpec", "RoostSupervisor"])
program(
  "roost",
  [
    "RoostBase", "RoostSystem", "RoostCLI", "RoostSpec", "RoostSupervisor", "RoostClient",
    "RoostMessages", "RoostMessagesPrivate", "RoostRecords", "RoostCompression",
    "RoostPluginHost",
  ])

// scripts/fuzz alone builds these: instrumented libraries that it links with libFuzzer's main.
if Context.environment["ROOST_FUZZ"] == "1" {
  let fuzzers = [
    ("Messages", ["RoostWire", "RoostMessagesJSON"]),
    ("Batches", ["RoostWire", "RoostCompression", "RoostRecords"]),
    ("Spec", ["RoostSpec"]),
  ]
  for (name, dependencies) in fuzzers {
    targets.append(
      .target(
        name: "Fuzz\(name)", dependencies: deps(dependencies), path: "Tests/Fuzz/\(name)",
        swiftSettings: strict))
    products.append(.library(name: "Fuzz\(name)", type: .static, targets: ["Fuzz\(name)"]))
  }
}

// The house rules that a machine can check.
targets.append(.testTarget(name: "TidyTests", swiftSettings: strict))

let package = Package(name: "roost", products: products, targets: targets)
