//! What a line of the debugger says.

use std::fmt;

use super::show::{Form, Shown, range};
use crate::isa::{Format, Memory, Range, nearest};
use crate::program::Phase;
use crate::trace::Timetable;

/// A command as its user sees it.
pub struct Help {
    /// Its name and what follows.
    pub usage: &'static str,
    /// What it does.
    pub meaning: &'static str,
}

const fn help_of(usage: &'static str, meaning: &'static str) -> Help {
    Help { usage, meaning }
}

/// Every command, in the order `help` lists them.
pub const COMMANDS: [Help; 13] = [
    help_of("step [N]", "execute one instruction, or N"),
    help_of(
        "run [WHERE]",
        "to a breakpoint or the end, or to: N or seq N (an instruction), pc N, cycle N, phase NAME, overflow",
    ),
    help_of("break WHERE", "stop before: seq N, pc N, phase NAME; behind: overflow"),
    help_of(
        "watch RANGE [read]",
        "stop behind what writes (or reads) a byte of it, as in watch operand[0x10..0x20]",
    ),
    help_of("points", "breakpoints and watchpoints"),
    help_of("delete N", "take one away"),
    help_of("where", "the next instruction, its rounds of loops and cycles"),
    help_of("list [N]", "the code around it, N instructions either way"),
    help_of("history [N]", "the last instructions executed"),
    help_of("registers [FORM]", "scale registers and counters, as codes, values or bits"),
    help_of(
        "print PLACE BITS COUNT [FORM]",
        "elements of a memory, as in print accumulator[0] 32 8 bits; `unsigned` behind it: codes from 0",
    ),
    help_of("tensor NAME [COUNT] [FORM]", "elements of a tensor in DRAM"),
    help_of("quit", "leave"),
];

/// The text of `help`.
pub(super) fn help() -> String {
    let lines = COMMANDS.iter().map(|c| format!("  {:<30} {}\n", c.usage, c.meaning));
    let forms = "Forms: codes (whole numbers), values (codes of b bits times 2^(1-b)), bits. A command may be cut short: s, r, b. An empty line\ndoes the last one again; Ctrl-C stops what runs.\n";
    lines.collect::<String>() + forms
}

/// Where a run stops besides points.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Stop {
    pub(super) seq: Option<usize>,
    pub(super) pc: Option<u32>,
    pub(super) cycle: Option<u64>,
    pub(super) phase: Option<Phase>,
    pub(super) overflow: bool,
}

/// What a point stops at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    Seq(usize),
    Pc(u32),
    Phase(Phase),
    Overflow,
    Written(Range),
    Read(Range),
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            What::Seq(seq) => write!(f, "before instruction {seq}"),
            What::Pc(pc) => write!(f, "before pc {pc}"),
            What::Phase(phase) => write!(f, "where phase {} begins", phase.name()),
            What::Overflow => write!(f, "behind an overflow"),
            What::Written(at) => write!(f, "behind a write of {}", range(at)),
            What::Read(at) => write!(f, "behind a read of {}", range(at)),
        }
    }
}

/// A line that means something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    Step(usize),
    Run(Stop),
    Point(What),
    Points,
    Delete(usize),
    Where,
    List(usize),
    History(usize),
    Registers(Form),
    Show(Shown),
    Help,
    Quit,
}

fn number<T: TryFrom<u64>>(word: &str) -> Result<T, String> {
    let parsed = match word.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => word.parse(),
    };
    let fits = parsed.ok().and_then(|n| T::try_from(n).ok());
    fits.ok_or_else(|| format!("`{word}` is no number that fits here; write 12 or 0x0c"))
}

/// The one number of a command that may be left out.
fn optional(words: &[&str], default: usize) -> Result<usize, String> {
    match words {
        [] => Ok(default),
        [word] => number(word),
        [_, more, ..] => Err(format!("`{more}` is too much; `help` shows what a command takes")),
    }
}

/// `operand[16]` or `operand[0x10..0x20]`: first byte, and behind the last.
fn place(word: &str) -> Result<(Memory, u64, Option<u64>), String> {
    let wrong = || format!("`{word}` is no place; write as in operand[0x10] or operand[0x10..0x20]");
    let (name, rest) = word.split_once('[').ok_or_else(wrong)?;
    let inner = rest.strip_suffix(']').ok_or_else(wrong)?;
    let memory = Memory::ALL.into_iter().find(|m| m.name() == name).ok_or_else(|| {
        let names = Memory::ALL.map(Memory::name);
        format!("no memory `{name}`; there are {}", names.join(", "))
    })?;
    Ok(match inner.split_once("..") {
        Some((first, end)) => (memory, number(first)?, Some(number(end)?)),
        None => (memory, number(inner)?, None),
    })
}

fn phase(word: &str) -> Result<Phase, String> {
    let names = || Phase::ALL.map(Phase::name);
    Phase::ALL
        .into_iter()
        .find(|p| p.name() == word)
        .ok_or_else(|| format!("no phase `{word}`; there are {}", names().join(", ")))
}

fn form(word: Option<&&str>) -> Result<Form, String> {
    match word {
        None | Some(&"codes") => Ok(Form::Codes),
        Some(&"values") => Ok(Form::Values),
        Some(&"bits") => Ok(Form::Bits),
        Some(other) => Err(format!("no form `{other}`; there are codes, values, bits")),
    }
}

fn run(words: &[&str]) -> Result<Stop, String> {
    let stop = Stop::default();
    Ok(match words {
        [] => stop,
        ["overflow"] => Stop { overflow: true, ..stop },
        ["cycle", n] => Stop { cycle: Some(number(n)?), ..stop },
        ["pc", n] => Stop { pc: Some(number(n)?), ..stop },
        ["phase", name] => Stop { phase: Some(phase(name)?), ..stop },
        ["seq", n] | [n] => Stop { seq: Some(number(n)?), ..stop },
        _ => return Err("run takes N, seq N, pc N, cycle N, phase NAME or overflow".to_owned()),
    })
}

fn point(words: &[&str]) -> Result<What, String> {
    Ok(match words {
        ["overflow"] => What::Overflow,
        ["pc", n] => What::Pc(number(n)?),
        ["phase", name] => What::Phase(phase(name)?),
        ["seq", n] => What::Seq(number(n)?),
        _ => return Err("break takes seq N, pc N, phase NAME or overflow".to_owned()),
    })
}

fn watched(words: &[&str]) -> Result<What, String> {
    let (word, read) = match words {
        [word] => (word, false),
        [word, "read"] => (word, true),
        _ => return Err("watch takes a range, as in operand[0x10..0x20], and `read` for reads".to_owned()),
    };
    let (memory, first, end) = place(word)?;
    let end = end.unwrap_or(first + 1);
    if end <= first {
        return Err(format!("`{word}` holds no byte; its end stands behind its last byte"));
    }
    let range = Range { memory, first, end };
    Ok(if read { What::Read(range) } else { What::Written(range) })
}

fn print(words: &[&str]) -> Result<Shown, String> {
    let [at, bits, count, rest @ ..] = words else {
        return Err(
            "print takes a place, bits of an element and how many, as in print operand[0] 8 16".to_owned()
        );
    };
    let (memory, first, _) = place(at)?;
    let (signed, rest) = match rest {
        [rest @ .., "unsigned"] => (false, rest),
        rest => (true, rest),
    };
    let bits: u32 = number(bits)?;
    let format = Format::new(bits).ok_or_else(|| format!("an element has 1 to 64 bits, not {bits}"))?;
    Ok(Shown { memory, first, format, signed, count: number(count)?, form: form(rest.first())? })
}

fn tensor(words: &[&str], table: &Timetable<'_>) -> Result<Shown, String> {
    let [name, rest @ ..] = words else { return Err("tensor takes a name".to_owned()) };
    let tensor = table.program.tensor(name).ok_or_else(|| {
        let names = table.program.tensors.iter().map(|t| t.name.as_str());
        match nearest(name, names.clone()) {
            Some(near) => format!("no tensor `{name}`; did you mean `{near}`?"),
            None => format!("no tensor `{name}`; there are {}", names.collect::<Vec<_>>().join(", ")),
        }
    })?;
    let (count, rest) = match rest {
        [first, rest @ ..] if first.starts_with(|c: char| c.is_ascii_digit()) => (number(first)?, rest),
        rest => (tensor.elements().min(64), rest),
    };
    let (memory, first, format) = (Memory::Dram, tensor.address, tensor.format);
    let count = count.min(tensor.elements());
    Ok(Shown { memory, first, format, signed: tensor.signed, count, form: form(rest.first())? })
}

impl Command {
    /// What a line says; nothing where it is empty or a comment (`#`).
    pub(super) fn parse(line: &str, table: &Timetable<'_>) -> Result<Option<Command>, String> {
        let line = line.split('#').next().unwrap_or_default();
        let words: Vec<&str> = line.split_whitespace().collect();
        let Some((&typed, words)) = words.split_first() else { return Ok(None) };
        let names = || COMMANDS.iter().filter_map(|c| c.usage.split(' ').next()).chain(["help"]);
        let name =
            names().find(|name| *name == typed).or_else(|| names().find(|name| name.starts_with(typed)));
        let Some(name) = name else {
            return Err(match nearest(typed, names()) {
                Some(near) => format!("no command `{typed}`; did you mean `{near}`?"),
                None => format!("no command `{typed}`; `help` lists them"),
            });
        };
        Ok(Some(match name {
            "step" => Command::Step(optional(words, 1)?),
            "run" => Command::Run(run(words)?),
            "break" => Command::Point(point(words)?),
            "watch" => Command::Point(watched(words)?),
            "points" => Command::Points,
            "delete" => match words {
                [n] => Command::Delete(number(n)?),
                _ => return Err("delete takes the number of a point".to_owned()),
            },
            "where" => Command::Where,
            "list" => Command::List(optional(words, 5)?),
            "history" => Command::History(optional(words, 10)?),
            "registers" => Command::Registers(form(words.first())?),
            "print" => Command::Show(print(words)?),
            "tensor" => Command::Show(tensor(words, table)?),
            "quit" => Command::Quit,
            _ => Command::Help,
        }))
    }
}
