//! The command line.

mod asm;
mod begin;
mod compare;
mod compile;
mod data;
mod debug;
mod disasm;
mod estimate;
mod eval;
mod execute;
mod explore;
mod load;
mod machine;
mod map;
mod price;
mod progress;
mod show;
mod sweep;
mod target;
mod tensors;
mod trace;
mod train;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::{Parser, Subcommand};

use crate::train::TrainError;

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
    Eval(eval::Eval),
    Sweep(sweep::Sweep),
    Explore(explore::Explore),
    Estimate(estimate::Estimate),
    Compile(compile::Compile),
    Asm(asm::Asm),
    Disasm(disasm::Disasm),
    Run(execute::Execute),
    Trace(Box<trace::Trace>),
    Debug(Box<debug::Debug>),
    Machine(machine::Show),
    Report(show::Show),
    Price(price::Price),
    Compare(compare::Compare),
    Data(data::Data),
}

/// Why a command ended early, by exit code.
#[derive(Debug)]
enum Failure {
    Run(anyhow::Error),
    Given(anyhow::Error),
    /// Ctrl-C, with everything kept.
    Stopped,
    /// Two things compared are not the same, which was told.
    Differs,
}

fn given(error: impl Into<anyhow::Error>) -> Failure {
    Failure::Given(error.into())
}

fn failed(error: impl Into<anyhow::Error>) -> Failure {
    Failure::Run(error.into())
}

/// Why training or an evaluation ended early: a machine that stopped is a run that failed, all else was given wrong.
fn stopped(error: TrainError) -> Failure {
    match error {
        TrainError::Fault { .. } => failed(error),
        error => given(error),
    }
}

/// Prints to the output; a reader that went away is no failure.
fn print(text: &str) -> Result<(), Failure> {
    match std::io::Write::write_all(&mut std::io::stdout().lock(), text.as_bytes()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(failed(e)),
        _ => Ok(()),
    }
}

/// Ctrl-C asks for a stop; a second one ends the process at once.
fn stop_on_ctrl_c(stop: &Arc<AtomicBool>) -> Result<(), Failure> {
    let stop = stop.clone();
    let handler = ctrlc::set_handler(move || {
        if stop.swap(true, Ordering::SeqCst) {
            std::process::exit(130);
        }
    });
    handler.map_err(failed)
}

/// Runs the command that the process was given.
pub fn main() -> std::process::ExitCode {
    let command = Arguments::parse().command;
    if let Err(what) = crate::machine::Extension::asked() {
        return fail(&anyhow::anyhow!(what), 2);
    }
    let result = match command {
        Command::Train(command) => command.run(),
        Command::Eval(command) => command.run(),
        Command::Sweep(command) => command.run(),
        Command::Explore(command) => command.run(),
        Command::Estimate(command) => command.run(),
        Command::Compile(command) => command.run(),
        Command::Asm(command) => command.run(),
        Command::Disasm(command) => command.run(),
        Command::Run(command) => command.run(),
        Command::Trace(command) => command.run(),
        Command::Debug(command) => command.run(),
        Command::Machine(command) => command.run(),
        Command::Report(command) => command.run(),
        Command::Price(command) => command.run(),
        Command::Compare(command) => command.run(),
        Command::Data(command) => command.run(),
    };
    match result {
        Ok(()) => 0.into(),
        Err(Failure::Run(error)) => fail(&error, 1),
        Err(Failure::Given(error)) => fail(&error, 2),
        Err(Failure::Stopped) => 130.into(),
        Err(Failure::Differs) => 1.into(),
    }
}

fn fail(error: &anyhow::Error, code: u8) -> std::process::ExitCode {
    eprintln!("error: {error:#}");
    code.into()
}
