//! Numbers in assembly text: sums, products, shifts, masks; names and functions of names.
//!
//! Operators bind as in C and Rust: `|`, `&`, `<< >>`, `+ -`, `* / %`, then a leading `-`, from loosest to tightest.

use std::ops::Range;

use super::AssemblyError;
use super::line::{Line, Read};
use super::names::{FUNCTIONS, Value, nearest};
use super::token::{Token, number, register};
use crate::isa::Scalar;

/// Brackets and signs that may stand within each other.
const DEEPEST: u32 = 64;

/// A number, and the scalar register an address adds to it.
pub(super) struct Sum {
    pub(super) base: Option<Scalar>,
    pub(super) number: i128,
}

pub(super) fn too_large(span: Range<usize>) -> AssemblyError {
    AssemblyError::new(span, "this number is too large", "no field holds more than 64 bits")
}

/// How tightly an operator binds.
pub(super) fn binding(mark: &str) -> Option<u8> {
    Some(match mark {
        "|" => 1,
        "&" => 2,
        "<<" | ">>" => 3,
        "+" | "-" => 4,
        "*" | "/" | "%" => 5,
        _ => return None,
    })
}

impl Line<'_> {
    /// An expression without a register.
    pub(super) fn number(&mut self) -> Read<Value> {
        let from = self.span().start;
        let sum = self.sum(0)?;
        match sum.base {
            None => Ok(Value::Number(sum.number)),
            Some(_) => {
                let hint = "scalar registers are added in addresses only, as in `operand[s1 + 64]`";
                let span = from..self.span().start;
                Err(AssemblyError::new(span, "a number cannot depend on a register", hint))
            }
        }
    }

    /// Operators that bind tighter than `least`.
    pub(super) fn sum(&mut self, least: u8) -> Read<Sum> {
        let mut left = self.factor()?;
        loop {
            let Some(&Token::Mark(mark)) = self.peek() else { return Ok(left) };
            let Some(binding) = binding(mark).filter(|&b| b > least) else { return Ok(left) };
            let operator = self.span();
            self.at += 1;
            let span = self.span();
            let right = self.sum(binding)?;
            let base = match (mark, left.base, right.base) {
                (_, None, None) => None,
                ("+", Some(base), None) | ("+", None, Some(base)) | ("-", Some(base), None) => Some(base),
                _ => return Err(one_register(span)),
            };
            left = Sum { base, number: combined(mark, left.number, right.number, operator, span)? };
        }
    }

    fn factor(&mut self) -> Read<Sum> {
        let span = self.span();
        self.depth += 1;
        if self.depth > DEEPEST {
            let hint = "give a part of it a name with `.const`";
            return Err(AssemblyError::new(span, "brackets and signs lie too deep", hint));
        }
        let found = self.factor_within(span);
        self.depth -= 1;
        found
    }

    fn factor_within(&mut self, span: Range<usize>) -> Read<Sum> {
        let plain = |number| Sum { base: None, number };
        if self.take("-") {
            let sum = self.factor()?;
            return match sum.base {
                None => sum.number.checked_neg().map(plain).ok_or_else(|| too_large(span)),
                Some(_) => Err(one_register(span)),
            };
        }
        if self.take("(") {
            let sum = self.sum(0)?;
            self.close()?;
            return Ok(sum);
        }
        let call = self.next_mark() == Some("(");
        let token = self.peek().cloned();
        self.at += 1;
        match token {
            Some(Token::Number(text)) => number(&text).map(plain).ok_or_else(|| {
                let hint = "numbers are decimal, `0x…` or `0b…`, with `_` between digits";
                AssemblyError::new(span, format!("`{text}` is no number"), hint)
            }),
            Some(Token::Word(word)) if call => self.function(&word, span).map(plain),
            Some(Token::Word(word)) => self.term(&word, span),
            _ => Err(AssemblyError::new(span, "a number is missing here", "write it, as in `count=32`")),
        }
    }

    fn close(&mut self) -> Read<()> {
        match self.take(")") {
            true => Ok(()),
            false => Err(AssemblyError::new(self.span(), "`)` is missing", "close what `(` opened")),
        }
    }

    /// A name within an expression: a place is its first byte.
    fn term(&self, word: &str, span: Range<usize>) -> Read<Sum> {
        let value =
            self.scope.find(word).cloned().or_else(|| register(word).map(|(l, n)| Value::Register(l, n)));
        match value {
            Some(Value::Number(number)) => Ok(Sum { base: None, number }),
            Some(Value::Place(place)) => {
                Ok(Sum { base: Some(place.base).filter(|b| b.0 != 0), number: place.offset })
            }
            Some(Value::Register('s', n)) => match u8::try_from(n).ok().filter(|&n| n < Scalar::COUNT) {
                Some(n) => Ok(Sum { base: Some(Scalar(n)), number: 0 }),
                None => {
                    Err(AssemblyError::new(span, format!("there is no register s{n}"), "s0 to s31 are there"))
                }
            },
            Some(Value::Register(letter, n)) => {
                let message = format!("`{word}` is register {letter}{n}, no number");
                Err(AssemblyError::new(
                    span,
                    message,
                    "only scalar registers s0 to s31 are added in addresses",
                ))
            }
            Some(Value::Refused) => Err(AssemblyError::following(span)),
            Some(Value::Word(other)) => {
                let message = format!("`{word}` stands for the word `{other}`, no number");
                Err(AssemblyError::new(span, message, "give it a number"))
            }
            None => Err(self.unknown(word, span)),
        }
    }

    /// The error of a word that stands for no number.
    pub(super) fn unknown(&self, word: &str, span: Range<usize>) -> AssemblyError {
        let hint = match nearest(word, self.scope.all()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "`.const NAME = VALUE` names a number".to_owned(),
        };
        AssemblyError::new(span, format!("`{word}` is no number and names none"), hint)
    }

    /// `sizeof(a)` and the like, after the name.
    fn function(&mut self, function: &str, span: Range<usize>) -> Read<i128> {
        let Some(&(_, use_as)) = FUNCTIONS.iter().find(|(name, _)| *name == function) else {
            let hint = format!("there are {}", FUNCTIONS.map(|(_, how)| how).join("; "));
            return Err(AssemblyError::new(span, format!("there is no function `{function}`"), hint));
        };
        self.take("(");
        let place = self.span();
        let refuse = |what: String| Err(AssemblyError::new(place.clone(), what, use_as));
        let Some((name, _)) = self.word() else { return refuse(format!("`{function}` takes a name")) };
        let found = match self.scope.find(&name) {
            Some(Value::Place(place)) => place.clone(),
            Some(Value::Refused) => return Err(AssemblyError::following(place)),
            Some(_) => return refuse(format!("`{name}` is neither a tensor nor a place")),
            None => {
                let near = nearest(&name, self.scope.all())
                    .map_or(use_as.to_owned(), |near| format!("did you mean `{near}`?"));
                let message = format!("there is no tensor or place `{name}`");
                return Err(AssemblyError::new(place, message, near));
            }
        };
        let tensor = found.tensor.as_deref();
        let number = match (function, tensor) {
            ("sizeof", _) => found.bytes.map(i128::from),
            ("bits", Some((bits, _))) => Some((*bits).into()),
            ("elements", Some((_, shape))) => {
                shape.iter().try_fold(1i128, |product, &d| product.checked_mul(d.into()))
            }
            ("dim", Some((_, shape))) => {
                if !self.take(",") {
                    return refuse(format!("`{function}` takes a name and a number"));
                }
                let at = self.span();
                let index = self.sum(0)?;
                let dimension = usize::try_from(index.number).ok().filter(|_| index.base.is_none());
                match dimension.and_then(|d| shape.get(d)) {
                    Some(&length) => Some(length.into()),
                    None => {
                        let hint = format!("it has {}, from 0", shape.len());
                        let message = format!("`{name}` has no dimension {}", index.number);
                        return Err(AssemblyError::new(at, message, hint));
                    }
                }
            }
            _ => None,
        };
        let Some(number) = number else { return refuse(format!("`{name}` has none: it is no tensor")) };
        self.close()?;
        Ok(number)
    }
}

pub(super) fn one_register(span: Range<usize>) -> AssemblyError {
    let hint = "write it as `memory[s1 + offset]`";
    AssemblyError::new(span, "an address adds one scalar register", hint)
}

/// What an operator makes of two numbers.
fn combined(mark: &str, left: i128, right: i128, operator: Range<usize>, span: Range<usize>) -> Read<i128> {
    let shift = |right: i128| {
        let hint = "shifts are by 0 to 63 bits";
        u32::try_from(right)
            .ok()
            .filter(|&n| n < 64)
            .ok_or_else(|| AssemblyError::new(span.clone(), format!("a shift by {right}"), hint))
    };
    if right == 0 && matches!(mark, "/" | "%") {
        return Err(AssemblyError::new(span, "a division by zero", "give it another divisor"));
    }
    let found = match mark {
        "|" => Some(left | right),
        "&" => Some(left & right),
        "<<" => left.checked_mul(1 << shift(right)?),
        ">>" => Some(left >> shift(right)?),
        "+" => left.checked_add(right),
        "-" => left.checked_sub(right),
        "*" => left.checked_mul(right),
        "/" => left.checked_div(right),
        _ => left.checked_rem(right),
    };
    found.ok_or_else(|| too_large(operator))
}
