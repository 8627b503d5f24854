internal import RoostCLI

await Commands.program.main(Array(CommandLine.arguments.dropFirst()))
