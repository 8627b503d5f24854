// roostd: the supervisor. Spec in, processes out; what systemd runs. All of it is in RoostSupervisor.
internal import Glibc
internal import RoostSupervisor

@main
struct Roostd {
  static func main() { exit(Daemon.main(CommandLine.arguments)) }
}
