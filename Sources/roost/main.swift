internal import RoostCLI

let program = Program(
  name: "roost", version: "0.1.0", summary: "Kafka as a native Linux system",
  commands: Commands.all)
await program.main(Array(CommandLine.arguments.dropFirst()))
