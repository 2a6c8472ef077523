//! Macros: lines with parameters, written out where they are used.
//!
//! An argument is a value, worked out where the macro is used; the macro's lines see their parameters and own names
//! first, then those of the text, never the names around a use. So a macro means the same wherever it is used.

use std::cell::Cell;
use std::ops::Range;
use std::rc::Rc;

use super::reader::{Done, Problem, Reader};
use crate::isa::{Line, Memory, Names, TABLE, Value, listed, nearest, without_comment};

/// Lines of macros a text may write out.
const MOST_LINES: usize = 1 << 18;
/// Macros that may be within each other.
const DEEPEST: usize = 32;

/// A parameter and what it stands for where a use does not say.
type Parameter = (String, Option<Value>);

/// A macro.
pub(super) struct Macro {
    pub(super) name: String,
    /// Where it is defined.
    pub(super) at: Range<usize>,
    parameters: Vec<Parameter>,
    body: Vec<Range<usize>>,
    /// Its head was refused: it takes anything and stands for nothing.
    refused: bool,
    pub(super) used: Cell<bool>,
}

/// A macro being written out.
pub(super) struct Expansion {
    pub(super) name: String,
    /// Where it is used.
    pub(super) used: Range<usize>,
    /// Its parameters and the names its lines give.
    pub(super) names: Names,
    /// Loops open around it.
    pub(super) loops: usize,
}

impl Reader<'_> {
    /// `.macro`: `rest` is what stands behind it, from byte `start` of the text on.
    pub(super) fn begin_macro(&mut self, rest: &str, start: usize, whole: Range<usize>) -> Done {
        let head = self.macro_head(rest, start, &whole);
        let first = without_comment(rest).split_whitespace().next().unwrap_or("").to_owned();
        let (name, parameters, problem) = match head {
            Ok((name, parameters)) => (name, parameters, None),
            Err(problem) => (first, Vec::new(), Some(problem)),
        };
        let refused = problem.is_some();
        let used = Cell::new(refused);
        self.defining = Some(Macro { name, at: whole, parameters, body: Vec::new(), refused, used });
        problem.map_or(Ok(()), Err)
    }

    fn macro_head(
        &self,
        rest: &str,
        start: usize,
        whole: &Range<usize>,
    ) -> Result<(String, Vec<Parameter>), Problem> {
        let hint = "write `.macro NAME PARAMETER PARAMETER=DEFAULT …`";
        if !self.expansions.is_empty() {
            return Err(Problem::new(whole.clone(), "a macro within a macro", "define it outside"));
        }
        let of = |e| Problem::of(e, start);
        let mut line = Line::new(rest, self.scope()).map_err(of)?;
        let Some((name, span)) = line.word() else {
            return Err(Problem::new(whole.clone(), "a macro has a name", hint));
        };
        let at = start + span.start..start + span.end;
        if TABLE.iter().any(|spec| spec.mnemonic == name) {
            return Err(Problem::new(at, format!("`{name}` is an instruction"), "give it another name"));
        }
        if let Some(before) = self.macros.get(&name) {
            let hint = format!("rename one of them; the first is in {}", self.line_of(&before.at));
            return Err(Problem::new(at, format!("macro `{name}` stands twice"), hint));
        }
        let (mut parameters, mut names) = (Vec::new(), Names::default());
        while !line.is_done() {
            if line.take(",") {
                continue;
            }
            let span = line.span();
            let at = start + span.start..start + span.end;
            let Some((parameter, _)) = line.word() else {
                return Err(Problem::new(at, "a parameter begins with its name", hint));
            };
            let given = names.define(&parameter, Value::Refused, at.clone());
            given.map_err(|e| self.name_problem(&parameter, e, at))?;
            let default = if line.take("=") { Some(self.argument(&mut line, start)?) } else { None };
            parameters.push((parameter, default));
        }
        Ok((name, parameters))
    }

    /// A line of the macro that is being defined, kept for its uses.
    pub(super) fn body_line(&mut self, line: Range<usize>) -> Done {
        let text = &self.text[line.clone()];
        let first = without_comment(text).split_whitespace().next().unwrap_or("");
        match (first, self.defining.as_mut()) {
            (".endm", _) => {
                if let Some(defined) = self.defining.take() {
                    self.macros.entry(defined.name.clone()).or_insert(Rc::new(defined));
                }
                Ok(())
            }
            (".macro", _) => {
                Err(Problem::new(line, "a macro within a macro", "close the one before with `.endm`"))
            }
            (".include", _) => Err(self.refused_include(line)),
            (_, Some(defined)) => {
                defined.body.push(line);
                Ok(())
            }
            (_, None) => Ok(()),
        }
    }

    /// Writes out a macro that the line `line` uses.
    pub(super) fn expand(&mut self, used: &Rc<Macro>, line: Range<usize>, whole: Range<usize>) -> Done {
        used.used.set(true);
        let name = &used.name;
        if used.refused {
            return Ok(());
        }
        if self.expansions.iter().any(|e| e.name == *name) {
            let chain: Vec<&str> = self.expansions.iter().map(|e| e.name.as_str()).collect();
            let hint = format!("{} → {name}; repeat with `loop`", chain.join(" → "));
            return Err(Problem::new(whole, format!("macro `{name}` uses itself"), hint));
        }
        if self.expansions.len() >= DEEPEST {
            let message = format!("macros lie deeper than {DEEPEST} within each other");
            return Err(Problem::new(whole, message, "write the inner ones out"));
        }
        let before = self.expanded;
        self.expanded = before.saturating_add(used.body.len());
        if before > MOST_LINES {
            // Told where the limit was passed.
            return Ok(());
        }
        if self.expanded > MOST_LINES {
            let message = format!("macros write out more than {MOST_LINES} lines");
            return Err(Problem::new(whole, message, "repeat with `loop`: it takes no lines"));
        }
        let names = self.arguments(used, line, &whole)?;
        let expansion = Expansion { name: name.clone(), used: whole, names, loops: self.loops.len() };
        self.expansions.push(expansion);
        for line in &used.body {
            self.line(line.clone());
        }
        while self.loops.len() > self.expansions.last().map_or(0, |e| e.loops) {
            if let Some(open) = self.loops.pop() {
                let hint = "a macro closes the loops it opens";
                self.tell(Problem::new(open, "this loop has no `end` in its macro", hint));
            }
        }
        self.expansions.pop();
        Ok(())
    }

    /// A macro's parameters with what a use gives them.
    fn arguments(&self, used: &Macro, line: Range<usize>, whole: &Range<usize>) -> Result<Names, Problem> {
        let of = |e| Problem::of(e, line.start);
        let mut read = Line::new(&self.text[line.clone()], self.scope()).map_err(of)?;
        read.word();
        let mut given: Vec<Option<Value>> = vec![None; used.parameters.len()];
        let names = || used.parameters.iter().map(|(name, _)| name.as_str());
        while !read.is_done() {
            if read.take(",") {
                continue;
            }
            let span = read.span();
            let at = line.start + span.start..line.start + span.end;
            let Some((parameter, _)) = read.word() else {
                return Err(Problem::new(at, "an argument begins with its name", "write `parameter=value`"));
            };
            let Some(place) = names().position(|name| name == parameter) else {
                let hint = match nearest(&parameter, names()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None if used.parameters.is_empty() => "it has none".to_owned(),
                    None => format!("it has {}", listed(names())),
                };
                let message = format!("macro `{}` has no parameter `{parameter}`", used.name);
                return Err(Problem::new(at, message, hint));
            };
            if given[place].is_some() {
                let message = format!("`{parameter}` is given twice");
                return Err(Problem::new(at, message, "leave one of them out"));
            }
            given[place] = Some(match read.take("=") {
                true => self.argument(&mut read, line.start)?,
                false => Value::Number(1),
            });
        }
        let mut bound = Names::default();
        let mut missing = Vec::new();
        for ((name, default), given) in used.parameters.iter().zip(given) {
            match given.or_else(|| default.clone()) {
                // Names were proved when the macro was defined.
                Some(value) => drop(bound.define(name, value, used.at.clone())),
                None => missing.push(name.as_str()),
            }
        }
        if missing.is_empty() {
            return Ok(bound);
        }
        let message = format!("macro `{}` lacks {}", used.name, listed(missing.into_iter()));
        Err(Problem::new(whole.clone(), message, "these parameters have no default"))
    }

    /// The value of an argument; a word must mean something.
    fn argument(&self, line: &mut Line<'_>, start: usize) -> Result<Value, Problem> {
        let (value, span) = line.value().map_err(|e| Problem::of(e, start))?;
        match &value {
            Value::Word(word) if !is_choice(word) => {
                line.as_number(value, &span).map(Value::Number).map_err(|e| Problem::of(e, start))
            }
            _ => Ok(value),
        }
    }
}

/// Whether fields know a word: a memory, a way to overflow or round.
fn is_choice(word: &str) -> bool {
    Memory::ALL.iter().any(|m| m.name() == word) || crate::isa::choices().any(|choice| choice == word)
}
