//! The command line.

mod progress;
mod train;

use clap::{Parser, Subcommand};

/// Simulate a fixed-point accelerator that trains neural networks with integers only (WAGE).
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Exit codes: 0 done, 1 a run that failed, 2 what was given is wrong, 130 stopped by Ctrl-C."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Train(train::Train),
}

/// Why a command ended early, by exit code.
#[derive(Debug)]
enum Failure {
    Run(anyhow::Error),
    Given(anyhow::Error),
    /// Ctrl-C, with everything kept.
    Stopped,
}

/// Runs the command that the process was given.
pub fn main() -> std::process::ExitCode {
    let result = match Arguments::parse().command {
        Command::Train(train) => train.run(),
    };
    match result {
        Ok(()) => 0.into(),
        Err(Failure::Run(error)) => fail(&error, 1),
        Err(Failure::Given(error)) => fail(&error, 2),
        Err(Failure::Stopped) => 130.into(),
    }
}

fn fail(error: &anyhow::Error, code: u8) -> std::process::ExitCode {
    eprintln!("error: {error:#}");
    code.into()
}
