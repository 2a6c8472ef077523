//! A line that is being read, and the values in it.

use std::ops::Range;

use super::AssemblyError;
use super::expression::{Sum, binding, one_register, too_large};
use super::names::{Place, Scope, Value, listed, nearest};
use super::token::{Token, register, tokens};
use crate::isa::{Memory, Scalar};

/// A line that is being read.
#[derive(Debug)]
pub struct Line<'n> {
    tokens: Vec<(Token, Range<usize>)>,
    pub(super) at: usize,
    length: usize,
    pub(super) depth: u32,
    pub(super) scope: Scope<'n>,
}

pub(super) type Read<T> = Result<T, AssemblyError>;

impl<'n> Line<'n> {
    /// The tokens of a line, before the first.
    ///
    /// # Errors
    /// At a character that means nothing.
    pub fn new(text: &str, scope: Scope<'n>) -> Read<Self> {
        Ok(Line { tokens: tokens(text)?, at: 0, length: text.len(), depth: 0, scope })
    }

    pub(super) fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|(t, _)| t)
    }

    pub(super) fn next_mark(&self) -> Option<&'static str> {
        match self.tokens.get(self.at + 1) {
            Some((Token::Mark(mark), _)) => Some(mark),
            _ => None,
        }
    }

    /// Where the next token stands; the line's end where there is none.
    pub fn span(&self) -> Range<usize> {
        self.tokens.get(self.at).map_or(self.length..self.length, |(_, s)| s.clone())
    }

    /// Whether nothing is left.
    pub fn is_done(&self) -> bool {
        self.at >= self.tokens.len()
    }

    /// Takes a mark, if it is next.
    pub fn take(&mut self, mark: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Mark(m)) if *m == mark);
        self.at += usize::from(found);
        found
    }

    /// Takes a word, if one is next.
    pub fn word(&mut self) -> Option<(String, Range<usize>)> {
        match self.tokens.get(self.at) {
            Some((Token::Word(word), span)) => {
                self.at += 1;
                Some((word.clone(), span.clone()))
            }
            _ => None,
        }
    }

    /// Refuses what is left.
    ///
    /// # Errors
    /// When something is left; `hint` says what the line may hold.
    pub fn end(&self, hint: &str) -> Read<()> {
        match self.is_done() {
            true => Ok(()),
            false => Err(AssemblyError::new(self.span(), "nothing is expected here", hint)),
        }
    }

    /// A value, and where it stands.
    ///
    /// # Errors
    /// When none is next, or it has no meaning.
    pub fn value(&mut self) -> Read<(Value, Range<usize>)> {
        let from = self.span().start;
        let value = match self.peek() {
            Some(Token::Word(_)) => match self.next_mark() {
                Some("[") => self.place()?,
                Some(mark) if mark == "(" || binding(mark).is_some() => self.number()?,
                _ => self.named(),
            },
            _ => self.number()?,
        };
        let to = self.at.checked_sub(1).and_then(|last| self.tokens.get(last)).map_or(from, |(_, s)| s.end);
        match value {
            Value::Refused => Err(AssemblyError::following(from..to)),
            value => Ok((value, from..to)),
        }
    }

    /// The error of a word that stands for no place.
    pub fn no_place(&self, word: &str, span: Range<usize>) -> AssemblyError {
        let memories = || Memory::ALL.iter().map(|m| m.name());
        let hint = if memories().any(|m| m == word) {
            format!("write `{word}[0]` for its first byte")
        } else {
            match nearest(word, memories().chain(self.scope.all())) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("memories are {}; `.place` names a part of one", listed(memories())),
            }
        };
        AssemblyError::new(span, format!("there is no memory or place `{word}`"), hint)
    }

    /// A value as a number: a place is its first byte.
    ///
    /// # Errors
    /// When it is none.
    pub fn as_number(&self, value: Value, span: &Range<usize>) -> Read<i128> {
        let refuse = |message: String, hint: &str| Err(AssemblyError::new(span.clone(), message, hint));
        match value {
            Value::Number(number) => Ok(number),
            Value::Place(Place { base: Scalar(0), offset, .. }) => Ok(offset),
            Value::Place(_) => refuse(
                "a number cannot depend on a register".to_owned(),
                "this place adds a scalar register; take one that does not",
            ),
            Value::Register(letter, n) => refuse(
                format!("{letter}{n} is a register; a number is taken here"),
                "scalar registers are added in addresses only, as in `operand[s1 + 64]`",
            ),
            Value::Word(word) => Err(self.unknown(&word, span.clone())),
            Value::Refused => Err(AssemblyError::following(span.clone())),
        }
    }

    /// What a word alone stands for.
    fn named(&mut self) -> Value {
        let Some((word, _)) = self.word() else { return Value::Refused };
        match self.scope.find(&word) {
            Some(value) => value.clone(),
            None => match register(&word) {
                Some((letter, n)) => Value::Register(letter, n),
                None => Value::Word(word),
            },
        }
    }

    /// `memory[sum]` or `name[sum]`.
    fn place(&mut self) -> Read<Value> {
        let Some((word, span)) = self.word() else { return Ok(Value::Refused) };
        self.at += 1;
        let inner = self.span().start;
        let Sum { base, number } = self.sum(0)?;
        let inner = inner..self.span().start;
        if !self.take("]") {
            let hint = "an address is `memory[offset]` or `memory[s1 + offset]`";
            return Err(AssemblyError::new(self.span(), "`]` is missing", hint));
        }
        let memory = |word: &str| Memory::ALL.into_iter().find(|m| m.name() == word);
        let named = match self.scope.find(&word) {
            None => memory(&word).map(whole),
            Some(Value::Word(word)) => memory(word).map(whole),
            Some(Value::Place(place)) => Some(place.clone()),
            Some(Value::Refused) => return Ok(Value::Refused),
            Some(Value::Number(_) | Value::Register(..)) => {
                let hint = "before `[` stands a memory, or the name of a place or tensor";
                return Err(AssemblyError::new(span, format!("`{word}` is no place"), hint));
            }
        };
        let Some(place) = named else { return Err(self.no_place(&word, span)) };
        let base = match (place.base, base) {
            (base, None) => base,
            (Scalar(0), Some(base)) => base,
            _ => return Err(one_register(inner)),
        };
        if let Some(bytes) =
            place.bytes.filter(|&b| base == Scalar(0) && !(0..i128::from(b)).contains(&number))
        {
            let hint = format!("it holds {bytes} bytes, 0 to {}", bytes.saturating_sub(1));
            return Err(AssemblyError::new(inner, format!("byte {number} lies outside `{word}`"), hint));
        }
        let offset = place.offset.checked_add(number).ok_or_else(|| too_large(inner))?;
        Ok(Value::Place(Place { memory: place.memory, base, offset, bytes: None, tensor: None }))
    }
}

/// A memory from its first byte on.
fn whole(memory: Memory) -> Place {
    Place { memory, base: Scalar(0), offset: 0, bytes: None, tensor: None }
}
