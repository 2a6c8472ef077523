//! The `wagesim` command.

fn main() -> std::process::ExitCode {
    wagesim::cli::main()
}
