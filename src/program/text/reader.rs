//! The lines of a text, one after another, to a program: labels, instructions, and what goes on from line to line.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::rc::Rc;

use super::expansion::{Expansion, Macro};
use super::sources::Sources;
use super::{Assembled, TextError, TextErrors};
use crate::isa::{AssemblyError, Memory, Names, Scope, assemble, without_comment};
use crate::program::{Probe, Program, ProgramError};
use crate::spec::SourceError;

/// What is wrong with a line; its span is of the text.
pub(super) struct Problem {
    pub(super) span: Range<usize>,
    pub(super) message: String,
    pub(super) hint: String,
    /// It follows from what was told before.
    follows: bool,
}

impl Problem {
    pub(super) fn new(span: Range<usize>, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Problem { span, message: message.into(), hint: hint.into(), follows: false }
    }

    /// An error of a part of the text that begins at `start`.
    pub(super) fn of(error: AssemblyError, start: usize) -> Self {
        let span = start + error.span.start..start + error.span.end;
        Problem { span, message: error.message, hint: error.hint, follows: error.follows }
    }
}

pub(super) type Done = Result<(), Problem>;

pub(super) struct Reader<'t> {
    pub(super) text: &'t str,
    sources: &'t Sources,
    pub(super) program: Program,
    pub(super) named: Option<String>,
    pub(super) dram_bytes: Option<u64>,
    pub(super) names: Names,
    pub(super) macros: BTreeMap<String, Rc<Macro>>,
    /// The macro whose lines are being taken up.
    pub(super) defining: Option<Macro>,
    /// Macros being written out, the innermost last.
    pub(super) expansions: Vec<Expansion>,
    /// Lines of macros written out.
    pub(super) expanded: usize,
    /// First byte behind the places named, by memory.
    pub(super) behind: [u64; Memory::ALL.len()],
    /// Probes that wait for their instruction, with where they stand.
    pub(super) probes: Vec<(Probe, Range<usize>)>,
    /// Where instructions stand, by their number in the program.
    pub(super) sites: Vec<Site>,
    /// Where open loops stand.
    pub(super) loops: Vec<Range<usize>>,
    /// Where tensors and entries were given their names.
    pub(super) given_at: BTreeMap<(Thing, String), Range<usize>>,
    errors: TextErrors,
    told: BTreeSet<(usize, String)>,
}

/// Where an instruction stands: its bytes of the text, and the macros that were written out around it, the innermost first.
#[derive(Debug, Clone)]
pub(super) struct Site {
    span: Range<usize>,
    uses: Vec<(String, Range<usize>)>,
}

impl Site {
    /// An error at the instruction.
    pub(super) fn error(&self, sources: &Sources, message: &str) -> TextError {
        let used = |(name, at): &(String, Range<usize>)| {
            sources.error(at.clone(), &format!("`{name}` is used here"))
        };
        let outermost = self.uses.last().map_or(self.span.start, |(_, at)| at.start);
        let uses = self.uses.iter().map(used).chain(sources.inclusions(outermost)).collect();
        TextError { error: sources.error(self.span.clone(), message), uses }
    }
}

/// What [`Reader::given_at`] tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Thing {
    Tensor,
    Entry,
}

impl<'t> Reader<'t> {
    pub(super) fn new(sources: &'t Sources) -> Self {
        let program = Program {
            name: String::new(),
            code: Vec::new(),
            entries: BTreeMap::new(),
            dram_bytes: 0,
            tensors: Vec::new(),
            marks: Vec::new(),
            probes: Vec::new(),
            training: None,
        };
        Reader {
            text: &sources.text,
            sources,
            program,
            named: None,
            dram_bytes: None,
            names: Names::default(),
            macros: BTreeMap::new(),
            defining: None,
            expansions: Vec::new(),
            expanded: 0,
            behind: [0; Memory::ALL.len()],
            probes: Vec::new(),
            sites: Vec::new(),
            loops: Vec::new(),
            given_at: BTreeMap::new(),
            errors: TextErrors { shown: Vec::new(), more: 0 },
            told: BTreeSet::new(),
        }
    }

    /// The names a line may use.
    pub(super) fn scope(&self) -> Scope<'_> {
        match self.expansions.last() {
            Some(expansion) => Scope::within(&expansion.names, &self.names),
            None => Scope::new(&self.names),
        }
    }

    fn source_error(&self, span: Range<usize>, message: &str) -> SourceError {
        self.sources.error(span, message)
    }

    /// Keeps what is wrong; a macro's line is told once, however often the macro is used.
    pub(super) fn tell(&mut self, problem: Problem) {
        if problem.follows || !self.told.insert((problem.span.start, problem.message.clone())) {
            return;
        }
        let mut errors = std::mem::replace(&mut self.errors, TextErrors { shown: Vec::new(), more: 0 });
        errors.push(|| self.drawn(problem));
        self.errors = errors;
    }

    fn drawn(&self, problem: Problem) -> TextError {
        let used = |e: &Expansion| self.source_error(e.used.clone(), &format!("`{}` is used here", e.name));
        let outermost = self.expansions.first().map_or(problem.span.start, |e| e.used.start);
        let uses = self.expansions.iter().rev().map(used).chain(self.sources.inclusions(outermost));
        TextError {
            uses: uses.collect(),
            error: self.source_error(problem.span, &problem.message).with_hint(problem.hint),
        }
    }

    /// Reads the line at these bytes.
    pub(super) fn line(&mut self, line: Range<usize>) {
        if let Err(problem) = self.any_line(line) {
            self.tell(problem);
        }
    }

    fn any_line(&mut self, line: Range<usize>) -> Done {
        let text = &self.text[line.clone()];
        if self.defining.is_some() {
            return self.body_line(line);
        }
        if text.trim_start().starts_with('.') {
            return self.directive(line);
        }
        let code = without_comment(text).trim_end();
        let whole = line.start + (code.len() - code.trim_start().len())..line.start + code.len();
        if let Some(label) = code.trim().strip_suffix(':') {
            return self.label(label.trim_end(), whole);
        }
        let first = code.split([' ', '\t', ',', '=']).find(|word| !word.is_empty()).unwrap_or("");
        if let Some(used) = self.macros.get(first).cloned() {
            return self.expand(&used, line, whole);
        }
        self.instruction(first, line, whole)
    }

    fn label(&mut self, label: &str, whole: Range<usize>) -> Done {
        if let Some(expansion) = self.expansions.last() {
            let hint = "an entry has one place: put the label before the macro's use";
            return Err(Problem::new(whole, format!("a label within macro `{}`", expansion.name), hint));
        }
        if !Program::is_entry_name(label) {
            return Err(Problem::new(
                whole,
                "a label is letters, digits, `_` and `-`",
                "write it as `main:`",
            ));
        }
        let key = (Thing::Entry, label.to_owned());
        if let Some(before) = self.given_at.get(&key) {
            let hint = format!("rename one of them; the first is in {}", self.line_of(before));
            return Err(Problem::new(whole, format!("label `{label}` stands twice"), hint));
        }
        self.given_at.insert(key, whole);
        self.program.entries.insert(label.to_owned(), self.program.code.len());
        Ok(())
    }

    /// The line that bytes of the text stand in.
    pub(super) fn line_of(&self, span: &Range<usize>) -> String {
        self.sources.line(span)
    }

    /// What is wrong with a `.include`: where nothing is, the lines of its file stand in its place.
    pub(super) fn refused_include(&self, line: Range<usize>) -> Problem {
        let (message, hint) = self.sources.refused(line.start);
        let text = &self.text[line.clone()];
        let start = line.start + text.len() - text.trim_start().len();
        Problem::new(start..line.start + text.trim_end().len(), message, hint)
    }

    fn instruction(&mut self, first: &str, line: Range<usize>, whole: Range<usize>) -> Done {
        let found = assemble(&self.text[line.clone()], self.scope(), self.macros.keys().map(String::as_str));
        // A loop whose count is wrong is a loop all the same: its `end` is no error of its own.
        let matched = match first {
            "loop" => {
                self.loops.push(whole.clone());
                Ok(())
            }
            "end" => self.close_loop(whole.clone()),
            _ => Ok(()),
        };
        let probes = std::mem::take(&mut self.probes);
        let Some(instr) = found.map_err(|e| Problem::of(e, line.start))? else {
            self.probes = probes;
            return Ok(());
        };
        matched?;
        let pc = self.program.code.len();
        self.program.probes.extend(probes.into_iter().map(|(probe, _)| Probe { pc, ..probe }));
        let uses = self.expansions.iter().rev().map(|e| (e.name.clone(), e.used.clone())).collect();
        self.sites.push(Site { span: whole, uses });
        self.program.code.push(instr);
        Ok(())
    }

    fn close_loop(&mut self, whole: Range<usize>) -> Done {
        let outside = self.expansions.last().map_or(0, |e| e.loops);
        if self.loops.len() > outside {
            self.loops.pop();
            return Ok(());
        }
        let hint = match self.expansions.is_empty() {
            true => "take it out, or begin the loop before it",
            false => "a macro closes the loops it opens, and no others",
        };
        Err(Problem::new(whole, "`end` without a `loop`", hint))
    }

    /// The program, once every line was read.
    pub(super) fn finish(mut self) -> Result<Assembled, TextErrors> {
        if let Some(open) = self.defining.take() {
            self.tell(Problem::new(open.at, "this macro has no `.endm`", "close it with `.endm`"));
        }
        for open in std::mem::take(&mut self.loops) {
            self.tell(Problem::new(open, "this loop has no `end`", "close it with `end`"));
        }
        for (_, span) in std::mem::take(&mut self.probes) {
            let hint = "put it before the one it means";
            self.tell(Problem::new(span, "this probe has no instruction behind it", hint));
        }
        let stem = std::path::Path::new(self.sources.origin()).file_stem();
        let stem = stem.map_or_else(|| "program".to_owned(), |s| s.to_string_lossy().into_owned());
        self.program.name = self.named.take().unwrap_or(stem);
        let last = self.program.tensors.iter().map(|t| t.address + t.bytes()).max().unwrap_or(0);
        self.program.dram_bytes = self.dram_bytes.unwrap_or(last);
        if self.errors.shown.is_empty()
            && let Err(error) = self.program.check()
        {
            let problem = Problem::new(self.place_of(&error), error.to_string(), "see isa/assembly.md");
            self.tell(problem);
        }
        if !self.errors.shown.is_empty() {
            return Err(self.errors);
        }
        let warnings = self.unused();
        let (sites, sources) = (self.sites, self.sources.clone());
        Ok(Assembled { program: self.program, warnings, sites, sources })
    }

    /// Where the text says what a program's error is about; the end where it does not.
    fn place_of(&self, error: &ProgramError) -> Range<usize> {
        let key = match error {
            ProgramError::TensorTwice(name)
            | ProgramError::TensorOutside { name, .. }
            | ProgramError::Tensor { name, .. } => Some((Thing::Tensor, name.clone())),
            ProgramError::NoInstruction { pc, .. } => {
                let entry = self.program.entries.iter().find(|(_, at)| *at == pc);
                entry.map(|(name, _)| (Thing::Entry, name.clone()))
            }
            _ => None,
        };
        let end = self.text.len()..self.text.len();
        key.and_then(|key| self.given_at.get(&key)).cloned().unwrap_or(end)
    }

    fn unused(&self) -> Vec<TextError> {
        let warn = |at: Range<usize>, what: String| TextError {
            error: self.source_error(at, &what).with_hint("take it out, or use it"),
            uses: Vec::new(),
        };
        let names = self.names.unused().filter(|(name, _)| self.program.tensor(name).is_none());
        let mut found: Vec<(usize, TextError)> = names
            .map(|(name, at)| (at.start, warn(at, format!("`{name}` is given a meaning and never used"))))
            .collect();
        let macros = self.macros.iter().filter(|(_, m)| !m.used.get());
        found.extend(
            macros.map(|(name, m)| (m.at.start, warn(m.at.clone(), format!("macro `{name}` is never used")))),
        );
        found.sort_by_key(|(at, _)| *at);
        found.into_iter().map(|(_, warning)| warning).collect()
    }
}
