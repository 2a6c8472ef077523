//! What names in assembly text stand for: numbers, registers, places in memory. Owns which names there may be; must not
//! know the directives that give them.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;

use super::token::register;
use crate::isa::disassembly::{ROUNDINGS, rounding_name};
use crate::isa::{Memory, Scalar};
use crate::number::Overflow;

/// What a field, an argument or a name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A number.
    Number(i128),
    /// A register: `s`, `x`, `c` or `m`, and which.
    Register(char, u32),
    /// A place in memory.
    Place(Place),
    /// A word that is none of these: `saturate`, or a mistake.
    Word(String),
    /// What was refused where it was defined: its uses are no errors of their own.
    Refused,
}

/// A place in a memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Which memory.
    pub memory: Memory,
    /// Scalar register added to the offset.
    pub base: Scalar,
    /// Bytes from the memory's beginning.
    pub offset: i128,
    /// Bytes it holds, where it is a named place or tensor.
    pub bytes: Option<u64>,
    /// Bits of an element and dimensions, where it is a tensor.
    pub tensor: Option<Rc<(u32, Vec<u64>)>>,
}

/// A name's meaning and where it got it.
#[derive(Debug, Clone)]
struct Named {
    value: Value,
    /// Bytes of the text that define it.
    at: Range<usize>,
    used: Cell<bool>,
}

/// Names with what they stand for.
#[derive(Debug, Clone, Default)]
pub struct Names {
    known: BTreeMap<String, Named>,
}

/// Why a name cannot be given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameError {
    /// No name looks like this.
    Malformed,
    /// It means something already, in the language itself.
    Reserved(&'static str),
    /// It was given before, at these bytes of the text.
    Twice(Range<usize>),
}

/// Functions of expressions, with what each takes.
pub(super) const FUNCTIONS: [(&str, &str); 4] = [
    ("sizeof", "sizeof(NAME): bytes of a tensor or place"),
    ("elements", "elements(NAME): elements of a tensor"),
    ("bits", "bits(NAME): bits of a tensor's element"),
    ("dim", "dim(NAME, I): length of a tensor's dimension I, from 0"),
];

/// Words that fields know: ways to overflow and to round.
pub fn choices() -> impl Iterator<Item = &'static str> {
    Overflow::ALL.map(Overflow::name).into_iter().chain(ROUNDINGS.map(rounding_name))
}

/// Whether a word can be a name: letters, digits, `_` and `.`, a letter or `_` first.
fn is_name(word: &str) -> bool {
    let first = word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    first && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.')
}

/// What a word means in the language itself.
fn reserved(word: &str) -> Option<&'static str> {
    if Memory::ALL.iter().any(|m| m.name() == word) {
        Some("a memory")
    } else if register(word).is_some() {
        Some("a register")
    } else {
        choices().any(|choice| choice == word).then_some("a value of fields")
    }
}

impl Names {
    /// Gives a name a meaning; `at` is where the text does so.
    ///
    /// # Errors
    /// When it cannot be a name or is one already.
    pub fn define(&mut self, name: &str, value: Value, at: Range<usize>) -> Result<(), NameError> {
        if !is_name(name) {
            return Err(NameError::Malformed);
        }
        if let Some(what) = reserved(name) {
            return Err(NameError::Reserved(what));
        }
        if let Some(before) = self.known.get(name) {
            return Err(NameError::Twice(before.at.clone()));
        }
        self.known.insert(name.to_owned(), Named { value, at, used: Cell::new(false) });
        Ok(())
    }

    /// Names that nothing used, with where they were given.
    pub fn unused(&self) -> impl Iterator<Item = (&str, Range<usize>)> {
        self.known.iter().filter(|(_, n)| !n.used.get()).map(|(name, n)| (name.as_str(), n.at.clone()))
    }
}

/// The names a line may use: its own, then those around it.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'n> {
    own: &'n Names,
    around: Option<&'n Names>,
}

impl<'n> Scope<'n> {
    /// Names of a text.
    pub fn new(names: &'n Names) -> Self {
        Scope { own: names, around: None }
    }

    /// `own` names before those of the text around.
    pub fn within(own: &'n Names, around: &'n Names) -> Self {
        Scope { own, around: Some(around) }
    }

    /// What a name stands for.
    pub(super) fn find(&self, name: &str) -> Option<&'n Value> {
        let named = self.own.known.get(name).or_else(|| self.around?.known.get(name))?;
        named.used.set(true);
        Some(&named.value)
    }

    /// Every name there is.
    pub(super) fn all(&self) -> impl Iterator<Item = &'n str> {
        let around = self.around.into_iter().flat_map(|names| names.known.keys());
        self.own.known.keys().chain(around).map(String::as_str)
    }
}

/// The most like a written word.
pub fn nearest<'n>(word: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    known
        .map(|k| (strsim::normalized_damerau_levenshtein(word, k), k))
        .filter(|(score, _)| *score >= 0.5)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, k)| k)
}

/// Names as a hint lists them.
pub fn listed<'n>(names: impl Iterator<Item = &'n str>) -> String {
    names.map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ")
}
