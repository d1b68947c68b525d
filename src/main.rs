//! The `ddgate` binary: parses, runs, exits.

fn main() -> std::process::ExitCode {
    ddgate::run()
}
