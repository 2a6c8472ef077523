//! `wagesim debug`.

use std::io::IsTerminal;
use std::ops::ControlFlow;
use std::path::PathBuf;

use anyhow::{Context as _, anyhow};
use clap::Args;
use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::DefaultHistory;
use rustyline::validate::Validator;
use rustyline::{Context, Editor, Helper};

use super::begin::Begin;
use super::load::{Choice, EngineChoice, read};
use super::progress::Steps;
use super::target::Target;
use super::{Failure, failed, given, print, stop_on_ctrl_c};
use crate::debug::{COMMANDS, Reply, Session};
use crate::machine::State;
use crate::trace::Timetable;

/// Execute a program instruction by instruction and look at the machine
///
/// A training step of a network on its data, or a program as `wagesim run` takes it. `help` lists the commands; tab completes
/// them. Without a terminal, or with `--script`, lines come from a file, each is printed before what it came to, and the first that is
/// wrong ends the session (exit code 2).
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wagesim debug programs/requantise-product.s --input in.safetensors
  wagesim debug --step 3 --set accumulators.forward.bits=14 --set accumulators.forward.overflow=wrap
      (3rd training step of the LeNet) run overflow, where, list
  wagesim debug programs/dense-step.s --zeros --script look.txt

A script:
  break phase gradient        # stop where it begins
  run
  print accumulator[0] 32 8 values
  quit

Exit codes: 0 done, 1 a run that stopped, 2 what was given is wrong.")]
pub(super) struct Debug {
    #[command(flatten)]
    choice: Choice,
    #[command(flatten)]
    begin: Begin,
    /// The training step to look into; steps before it are executed at once
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    step: u32,
    /// Folder of the data set's files
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Lines to do, from a file
    #[arg(long, value_name = "FILE")]
    script: Option<PathBuf>,
    #[command(flatten)]
    engine: EngineChoice,
}

/// Where lines come from.
enum Lines {
    Script { origin: String, lines: Vec<String>, at: usize },
    Terminal { editor: Box<Editor<Words, DefaultHistory>>, last: String },
}

/// What tab completes: commands where a line begins, else names.
struct Words {
    commands: Vec<String>,
    names: Vec<String>,
}

impl Completer for Words {
    type Candidate = Pair;

    fn complete(&self, line: &str, at: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let first = line[..at].rfind(' ').map_or(0, |space| space + 1);
        let begun = &line[first..at];
        let words = if line[..first].trim().is_empty() { &self.commands } else { &self.names };
        let candidate = |word: &String| {
            let space = if word.ends_with('[') { "" } else { " " };
            Pair { display: word.clone(), replacement: format!("{word}{space}") }
        };
        Ok((first, words.iter().filter(|word| word.starts_with(begun)).map(candidate).collect()))
    }
}

impl Hinter for Words {
    type Hint = String;
}

impl Highlighter for Words {}

impl Validator for Words {}

impl Helper for Words {}

impl Lines {
    /// The next line, the session being at instruction `seq`; none at the end.
    fn next(&mut self, seq: Option<usize>) -> Result<Option<String>, Failure> {
        let prompt = seq.map_or("(end) ".to_owned(), |seq| format!("({seq}) "));
        match self {
            Lines::Script { lines, at, .. } => {
                let line = lines.get(*at).cloned();
                *at += 1;
                if let Some(line) = &line {
                    print(&format!("{prompt}{line}\n"))?;
                }
                Ok(line)
            }
            Lines::Terminal { editor, last } => match editor.readline(&prompt) {
                Ok(line) => {
                    if !line.trim().is_empty() {
                        let _ = editor.add_history_entry(&line);
                        *last = line;
                    }
                    Ok(Some(last.clone()))
                }
                // Ctrl-C empties the line, Ctrl-D leaves.
                Err(ReadlineError::Interrupted) => Ok(Some(String::new())),
                Err(ReadlineError::Eof) => Ok(None),
                Err(error) => Err(failed(error)),
            },
        }
    }

    /// What a line that is wrong comes to.
    fn wrong(&self, what: &str) -> Result<(), Failure> {
        match self {
            Lines::Script { origin, at, .. } => Err(given(anyhow!("{origin}: line {at}: {what}"))),
            Lines::Terminal { .. } => print(&format!("{what}\n")),
        }
    }
}

impl Debug {
    pub(super) fn run(&self) -> Result<(), Failure> {
        if self.engine.is_stepped() {
            let what = "the debugger executes in program order; take fast or reference";
            return Err(given(anyhow!("--engine stepped: {what}")));
        }
        let target = Target::load(&self.choice, &self.begin)?;
        if !target.trains() && self.step != 1 {
            return Err(given(anyhow!("--step: the program does not train; it is executed once")));
        }
        let table =
            Timetable::new(target.program(), target.machine(), &target.plan, &target.machine().energy);
        let session = Session::new(&table, self.engine.on(target.machine()));
        let mut talk = Talk { lines: self.lines(&session)?, session };
        let step = u64::from(self.step);
        let mut ended = Ok(());
        let display = Steps::new("executing", step);
        target.look(&self.begin, self.data.as_deref(), [step, step], &display, &mut |_, before| {
            display.hide();
            ended = talk.talk(&mut before.clone());
            ControlFlow::Break(())
        })?;
        ended
    }

    fn lines(&self, session: &Session<'_>) -> Result<Lines, Failure> {
        let script = |origin: String, text: &str| {
            let lines = text.lines().map(str::to_owned).collect();
            Ok(Lines::Script { origin, lines, at: 0 })
        };
        if let Some(path) = &self.script {
            return script(path.display().to_string(), &read(path)?);
        }
        if !std::io::stdin().is_terminal() {
            let text = std::io::read_to_string(std::io::stdin()).context("standard input").map_err(given)?;
            return script("standard input".to_owned(), &text);
        }
        let commands = COMMANDS.iter().filter_map(|c| c.usage.split(' ').next()).map(str::to_owned);
        let commands = commands.chain(["help".to_owned()]).collect();
        let mut editor = Editor::<Words, DefaultHistory>::new().map_err(failed)?;
        editor.set_helper(Some(Words { commands, names: session.names() }));
        stop_on_ctrl_c(session.stop())?;
        Ok(Lines::Terminal { editor: Box::new(editor), last: String::new() })
    }
}

/// A session and who talks to it.
struct Talk<'a> {
    session: Session<'a>,
    lines: Lines,
}

impl Talk<'_> {
    fn talk(&mut self, state: &mut State) -> Result<(), Failure> {
        if let Reply::Text(text) = self.session.line("where", state) {
            print(&text)?;
        }
        while let Some(line) = self.lines.next(self.session.next())? {
            match self.session.line(&line, state) {
                Reply::Text(text) => print(&text)?,
                Reply::Wrong(what) => self.lines.wrong(&what)?,
                Reply::Quit => break,
            }
        }
        Ok(())
    }
}
