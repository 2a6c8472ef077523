//! `wagesim debug`.

use std::cell::{Cell, RefCell};
use std::io::IsTerminal;
use std::path::PathBuf;
use std::rc::Rc;

use anyhow::{Context as _, anyhow};
use clap::Args;
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::DefaultHistory;
use rustyline::validate::Validator;
use rustyline::{Context, Editor, Helper};

use super::begin::Begin;
use super::instead::Instead;
use super::load::{Choice, EngineChoice, read};
use super::target::Target;
use super::{Failure, failed, given, print};
use crate::debug::{COMMANDS, Reply, Session};
use crate::machine::{Observer, Outcome, State};
use crate::program::{Plan, Step};
use crate::trace::{Follow, Halt, Timetable};

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
    Terminal(Box<Editor<Words, DefaultHistory>>),
}

/// What tab completes.
struct Words(Vec<String>);

impl Completer for Words {
    type Candidate = String;

    fn complete(&self, line: &str, at: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        let first = line[..at].rfind(' ').map_or(0, |space| space + 1);
        let begun = &line[first..at];
        Ok((first, self.0.iter().filter(|word| word.starts_with(begun)).cloned().collect()))
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
            Lines::Terminal(editor) => match editor.readline(&prompt) {
                Ok(line) => {
                    let _ = editor.add_history_entry(&line);
                    Ok(Some(line))
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
            Lines::Terminal(_) => print(&format!("{what}\n")),
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
        let lines = self.lines(&session)?;
        let mut talk = Talk {
            shared: Rc::new(Shared {
                session: session.into(),
                lines: lines.into(),
                active: Rc::default(),
                ended: Cell::new(None),
            }),
        };
        let shared = Rc::clone(&talk.shared);
        let told = move |_: &Plan, state: &mut State, _: &mut [&mut dyn Observer]| {
            shared.ended.set(Some(shared.talk(state)));
            Ok(())
        };
        let engine = Box::new(Instead::new("debug", Rc::clone(&talk.shared.active), told));
        let step = u64::from(self.step);
        target.execute(&self.begin, self.data.as_deref(), engine, [step, step], &mut talk)?;
        talk.shared.ended.take().unwrap_or(Ok(()))
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
        let words = commands.chain(["help".to_owned()]).chain(session.names()).collect();
        let mut editor = Editor::<Words, DefaultHistory>::new().map_err(failed)?;
        editor.set_helper(Some(Words(words)));
        Ok(Lines::Terminal(Box::new(editor)))
    }
}

/// What engine and follower share.
struct Shared<'a> {
    session: RefCell<Session<'a>>,
    lines: RefCell<Lines>,
    /// The next plan executed is the session's.
    active: Rc<Cell<bool>>,
    /// What the session came to.
    ended: Cell<Option<Result<(), Failure>>>,
}

impl Shared<'_> {
    fn talk(&self, state: &mut State) -> Result<(), Failure> {
        let (mut session, mut lines) = (self.session.borrow_mut(), self.lines.borrow_mut());
        if let Reply::Text(text) = session.line("where", state) {
            print(&text)?;
        }
        while let Some(line) = lines.next(session.next())? {
            match session.line(&line, state) {
                Reply::Text(text) => print(&text)?,
                Reply::Wrong(what) => lines.wrong(&what)?,
                Reply::Quit => break,
            }
        }
        Ok(())
    }
}

/// Goes along with the run up to the session's step.
struct Talk<'a> {
    shared: Rc<Shared<'a>>,
}

impl Observer for Talk<'_> {
    fn executed(&mut self, _: &Plan, _: &Step, _: &Outcome, _: &State) {}
}

impl Follow for Talk<'_> {
    fn begin(&mut self, _: u64) {
        self.shared.active.set(true);
    }

    fn has_ended(&self) -> bool {
        true
    }

    fn talks(&self) -> bool {
        true
    }

    fn take_halt(&mut self) -> Option<Halt> {
        None
    }
}
