//! What a program that is no training begins with: its entry, verified for a machine, and the machine's state with the tensors
//! given.

use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::Args;

use super::load::read;
use super::{Failure, given, tensors};
use crate::isa::{Memory, Sizes};
use crate::machine::State;
use crate::program::{Plan, PlanError, Program};
use crate::spec::Machine;

/// How a program begins.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct Begin {
    /// The entry to execute; the only one if left out, or `main`, of a network `train`
    #[arg(long)]
    pub(super) entry: Option<String>,
    /// Tensors to begin with
    #[arg(long, value_name = "FILE")]
    pub(super) input: Option<PathBuf>,
    /// Take tensors that nothing gives values as zeros
    #[arg(long)]
    pub(super) zeros: bool,
    /// Seed of initial values and of rounding
    #[arg(long)]
    pub(super) seed: Option<u64>,
}

/// A program of either form, by its name.
pub(super) fn program(path: &Path) -> Result<Program, Failure> {
    if path.extension().is_some_and(|e| e == "safetensors") {
        return Program::load(path).map_err(given);
    }
    Program::from_text(&read(path)?, &path.display().to_string()).map_err(given)
}

fn sizes(program: &Program, machine: &Machine) -> Sizes {
    let [operand, weight, accumulator, mask] = machine.memory.bytes();
    [operand, weight, accumulator, mask, program.dram_bytes]
}

fn refuse(path: &Path, error: impl Into<anyhow::Error>) -> Failure {
    given(error.into().context(path.display().to_string()))
}

/// An entry of a program, unrolled and proved to fit the machine; `path` is what errors call it.
pub(super) fn plan(program: &Program, entry: &str, machine: &Machine, path: &Path) -> Result<Plan, Failure> {
    let planned = || {
        let plan = Plan::new(program, entry)?;
        plan.verify(&sizes(program, machine))?;
        plan.verify_rows(machine.array.rows)?;
        program.verify_control(entry, machine.control.registers, machine.control.loop_depth)?;
        Ok(plan)
    };
    planned().map_err(|e| refuse_at(path, e))
}

/// A plan's error, drawn with its line where the program is a text.
fn refuse_at(path: &Path, error: PlanError) -> Failure {
    let is_text = path.extension().is_none_or(|e| e != "safetensors");
    let text = error.pc().filter(|_| is_text).and_then(|pc| Some((pc, std::fs::read_to_string(path).ok()?)));
    let drawn = text.and_then(|(pc, text)| {
        let assembled = Program::assembled(&text, &path.display().to_string()).ok()?;
        assembled.at(pc, &error.to_string())
    });
    match drawn {
        Some(drawn) => given(anyhow!("{drawn}")),
        None => refuse(path, error),
    }
}

impl Begin {
    /// The entry meant.
    pub(super) fn entry(&self, program: &Program, path: &Path) -> Result<String, Failure> {
        if let Some(entry) = &self.entry {
            return Ok(entry.clone());
        }
        let names: Vec<&String> = program.entries.keys().collect();
        match names.as_slice() {
            [one] => Ok((*one).clone()),
            _ if program.entries.contains_key("main") => Ok("main".to_owned()),
            _ => {
                let names: Vec<&str> = names.iter().map(|n| n.as_str()).collect();
                Err(refuse(path, anyhow!("several entries; choose with --entry: {}", names.join(", "))))
            }
        }
    }

    /// The machine's state before the plan.
    pub(super) fn state(
        &self,
        program: &Program,
        plan: &Plan,
        machine: &Machine,
        path: &Path,
    ) -> Result<State, Failure> {
        let [operand, weight, accumulator, mask, dram] =
            sizes(program, machine).map(|n| usize::try_from(n).unwrap_or(usize::MAX));
        if Vec::<u8>::new().try_reserve_exact(dram).is_err() {
            let what = "more than this host has; give tensors less, or place them closer with `address`";
            return Err(refuse(path, anyhow!("its DRAM is {dram} bytes: {what}")));
        }
        let seed = self.seed.unwrap_or(1);
        let mut state = State::new([operand, weight, accumulator, mask, dram], seed);
        state.source = machine.word_source();
        program.fill_dram(seed, state.memory_mut(Memory::Dram));
        let given = match &self.input {
            Some(path) => tensors::take(program, path, &mut state)?,
            None => Vec::new(),
        };
        if !self.zeros {
            self.nothing_is_missing(program, plan, &given, path)?;
        }
        Ok(state)
    }

    /// Refuses tensors that are read and never had values.
    fn nothing_is_missing(
        &self,
        program: &Program,
        plan: &Plan,
        given: &[String],
        path: &Path,
    ) -> Result<(), Failure> {
        let missing = plan.read_first(program).into_iter().find(|t| !given.contains(&t.name));
        let Some(tensor) = missing else { return Ok(()) };
        let (name, form) = (&tensor.name, tensors::form(tensor));
        let place = match &self.input {
            Some(path) => format!("put it into {}", path.display()),
            None => "give it with --input FILE".to_owned(),
        };
        Err(refuse(
            path,
            anyhow!(
                "tensor `{name}` ({form}) is read before anything writes it and has no values: {place}, give it `initial` values, or take it as zeros with --zeros"
            ),
        ))
    }
}
