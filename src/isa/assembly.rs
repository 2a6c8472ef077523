//! Instructions as text and back, by the table: `mnemonic field=value …`, fields at their default left out.
//!
//! ```text
//! v.shift dst=operand[s1+0x40] dst_format=8 src=accumulator[0] src_format=32 shift=6 bits=8 count=N*4
//! ```
//! Knows one line; labels, directives and files are the program's.

use std::collections::BTreeMap;
use std::ops::Range;

use winnow::ascii::space0;
use winnow::combinator::{alt, repeat};
use winnow::prelude::*;
use winnow::token::{one_of, take_while};

use super::disassembly::{MEMORY_SHIFT, OFFSET_BITS, ROUNDINGS, pattern, rounding_name};
use super::field::{Memory, Scalar};
use super::instr::{FieldSpec, Instr, InstrSpec, Kind, TABLE};
use crate::number::Overflow;

/// What is wrong with a line, where in it, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssemblyError {
    /// Bytes of the line that are meant.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: String,
}

impl AssemblyError {
    fn new(span: Range<usize>, message: impl Into<String>, hint: impl Into<String>) -> Self {
        AssemblyError { span, message: message.into(), hint: hint.into() }
    }
}

/// Named numbers that fields may use.
pub type Constants = BTreeMap<String, i64>;

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    Number(String),
    Mark(char),
}

fn token(input: &mut &str) -> ModalResult<Token> {
    let word_start = |c: char| c.is_ascii_alphabetic() || c == '_';
    let word_rest = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    alt((
        (one_of(word_start), take_while(0.., word_rest)).take().map(|w: &str| Token::Word(w.to_owned())),
        (one_of('0'..='9'), take_while(0.., |c: char| c.is_ascii_alphanumeric() || c == '_'))
            .take()
            .map(|n: &str| Token::Number(n.to_owned())),
        one_of(['=', '[', ']', '+', '-', '*', '(', ')', ',']).map(Token::Mark),
    ))
    .parse_next(input)
}

/// Tokens of a line with their bytes; a comment ends it.
fn tokens(line: &str) -> Result<Vec<(Token, Range<usize>)>, AssemblyError> {
    let line = line.split([';', '#']).next().unwrap_or("");
    let mut rest = line;
    let mut found = Vec::new();
    let blanks =
        |rest: &mut &str| -> ModalResult<()> { repeat(0.., one_of([' ', '\t', '\r'])).parse_next(rest) };
    loop {
        let _ = blanks(&mut rest);
        let _: ModalResult<&str> = space0.parse_next(&mut rest);
        let start = line.len() - rest.len();
        if rest.is_empty() {
            return Ok(found);
        }
        match token(&mut rest) {
            Ok(token) => found.push((token, start..line.len() - rest.len())),
            Err(_) => {
                let width = rest.chars().next().map_or(1, char::len_utf8);
                let hint = "an instruction is `mnemonic field=value …`; a comment begins with `;`";
                return Err(AssemblyError::new(
                    start..start + width,
                    "this character means nothing here",
                    hint,
                ));
            }
        }
    }
}

struct Line<'a> {
    tokens: Vec<(Token, Range<usize>)>,
    at: usize,
    length: usize,
    constants: &'a Constants,
}

/// A value as written, before its field gives it a meaning.
enum Value {
    Number(i128),
    Register(char, u32),
    Place { memory: String, base: u8, offset: i128 },
    Name(String),
}

/// The most like a written word.
fn nearest<'n>(word: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    known
        .map(|k| (strsim::normalized_damerau_levenshtein(word, k), k))
        .filter(|(score, _)| *score >= 0.5)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, k)| k)
}

fn listed<'n>(names: impl Iterator<Item = &'n str>) -> String {
    names.map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ")
}

/// `s3` as a letter and a number.
fn register(word: &str) -> Option<(char, u32)> {
    let letter = word.chars().next().filter(|c| "sxcm".contains(*c))?;
    let digits = &word[1..];
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten().map(|n| (letter, n))
}

fn number(text: &str) -> Option<i128> {
    let digits = text.replace('_', "");
    let lower = digits.to_ascii_lowercase();
    if let Some(hex) = lower.strip_prefix("0x") {
        i128::from_str_radix(hex, 16).ok()
    } else if let Some(binary) = lower.strip_prefix("0b") {
        i128::from_str_radix(binary, 2).ok()
    } else {
        lower.parse().ok()
    }
}

impl Line<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|(t, _)| t)
    }

    fn span(&self) -> Range<usize> {
        self.tokens.get(self.at).map_or(self.length..self.length, |(_, s)| s.clone())
    }

    fn take(&mut self, mark: char) -> bool {
        let found = self.peek() == Some(&Token::Mark(mark));
        self.at += usize::from(found);
        found
    }

    /// Sums and differences of products.
    fn sum(&mut self, base: &mut Option<u8>) -> Result<i128, AssemblyError> {
        let mut total = self.product(base)?;
        loop {
            let minus = if self.take('+') {
                false
            } else if self.take('-') {
                true
            } else {
                return Ok(total);
            };
            let span = self.span();
            let mut further = None;
            let term = self.product(&mut further)?;
            match (further, minus) {
                (None, _) => {}
                (Some(register), false) if base.is_none() => *base = Some(register),
                _ => {
                    let message = "an address adds one scalar register";
                    return Err(AssemblyError::new(span, message, "write it as `memory[s1 + offset]`"));
                }
            }
            total = if minus { total.checked_sub(term) } else { total.checked_add(term) }
                .ok_or_else(|| too_large(self.span()))?;
        }
    }

    fn product(&mut self, base: &mut Option<u8>) -> Result<i128, AssemblyError> {
        let mut total = self.factor(base)?;
        while self.take('*') {
            let span = self.span();
            let factor = self.factor(&mut None)?;
            total = total.checked_mul(factor).ok_or_else(|| too_large(span))?;
        }
        Ok(total)
    }

    fn factor(&mut self, base: &mut Option<u8>) -> Result<i128, AssemblyError> {
        let span = self.span();
        if self.take('-') {
            return self.factor(&mut None).map(|n| -n);
        }
        if self.take('(') {
            let total = self.sum(&mut None)?;
            if !self.take(')') {
                return Err(AssemblyError::new(self.span(), "`)` is missing", "close what `(` opened"));
            }
            return Ok(total);
        }
        let token = self.peek().cloned();
        self.at += 1;
        match token {
            Some(Token::Number(text)) => number(&text).ok_or_else(|| {
                let hint = "numbers are decimal, `0x…` or `0b…`, with `_` between digits";
                AssemblyError::new(span, format!("`{text}` is no number"), hint)
            }),
            Some(Token::Word(word)) => {
                if let Some(&value) = self.constants.get(&word) {
                    return Ok(value.into());
                }
                if let Some(('s', n)) = register(&word) {
                    let scalar = u8::try_from(n).ok().filter(|&n| n < Scalar::COUNT);
                    let scalar = scalar.ok_or_else(|| {
                        AssemblyError::new(
                            span,
                            format!("there is no register {word}"),
                            "s0 to s31 are there",
                        )
                    })?;
                    *base = Some(scalar);
                    return Ok(0);
                }
                let hint = match nearest(&word, self.constants.keys().map(String::as_str)) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "`.const NAME = VALUE` names a number".to_owned(),
                };
                Err(AssemblyError::new(span, format!("`{word}` is no number and names none"), hint))
            }
            _ => Err(AssemblyError::new(span, "a number is missing here", "write it, as in `count=32`")),
        }
    }

    fn value(&mut self, kind: Kind) -> Result<Value, AssemblyError> {
        if matches!(kind, Kind::Uint(_) | Kind::Int(_) | Kind::Flag | Kind::Format) {
            return self.sum(&mut None).map(Value::Number);
        }
        if let Some(Token::Word(word)) = self.peek().cloned()
            && !self.constants.contains_key(&word)
        {
            if self.tokens.get(self.at + 1).map(|(t, _)| t) == Some(&Token::Mark('[')) {
                self.at += 2;
                let mut base = None;
                let offset = self.sum(&mut base)?;
                if !self.take(']') {
                    let hint = "an address is `memory[offset]` or `memory[s1 + offset]`";
                    return Err(AssemblyError::new(self.span(), "`]` is missing", hint));
                }
                return Ok(Value::Place { memory: word, base: base.unwrap_or(0), offset });
            }
            self.at += 1;
            return Ok(match register(&word) {
                Some((letter, n)) => Value::Register(letter, n),
                None => Value::Name(word),
            });
        }
        self.sum(&mut None).map(Value::Number)
    }
}

fn too_large(span: Range<usize>) -> AssemblyError {
    AssemblyError::new(span, "this number is too large", "no field holds more than 64 bits")
}

/// The instruction of a line; none where it is blank or a comment.
///
/// # Errors
/// Unknown mnemonics and fields, values out of range, fields missing or given twice: where, and what to do.
pub fn assemble(line: &str, constants: &Constants) -> Result<Option<Instr>, AssemblyError> {
    let tokens = tokens(line)?;
    let mut line = Line { tokens, at: 0, length: line.len(), constants };
    let Some((first, first_span)) = line.tokens.first().cloned() else { return Ok(None) };
    let Token::Word(mnemonic) = first else {
        let hint = "an instruction begins with its mnemonic";
        return Err(AssemblyError::new(first_span, "no instruction begins like this", hint));
    };
    line.at = 1;
    let Some(index) = TABLE.iter().position(|s| s.mnemonic == mnemonic) else {
        let hint = match nearest(&mnemonic, TABLE.iter().map(|s| s.mnemonic)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are {}", listed(TABLE.iter().map(|s| s.mnemonic))),
        };
        return Err(AssemblyError::new(first_span, format!("there is no instruction `{mnemonic}`"), hint));
    };
    let spec = &TABLE[index];
    let raw = fields(&mut line, spec, &first_span)?;
    Instr::from_raw_fields(index, &raw).map(Some).map_err(|field| {
        let message = format!("{} has no value {}", spec.fields[field].name, raw[field]);
        AssemblyError::new(first_span, message, spec.fields[field].doc)
    })
}

/// Patterns of the fields in the table's order.
fn fields(line: &mut Line<'_>, spec: &InstrSpec, mnemonic: &Range<usize>) -> Result<Vec<u64>, AssemblyError> {
    let mut raw: Vec<Option<u64>> = vec![None; spec.fields.len()];
    while line.at < line.tokens.len() {
        if line.take(',') {
            continue;
        }
        let span = line.span();
        let Some(Token::Word(name)) = line.peek().cloned() else {
            return Err(AssemblyError::new(span, "a field begins with its name", "write `field=value`"));
        };
        line.at += 1;
        let Some(place) = spec.fields.iter().position(|f| f.name == name) else {
            let hint = match nearest(&name, spec.fields.iter().map(|f| f.name)) {
                Some(near) => format!("did you mean `{near}`?"),
                None if spec.fields.is_empty() => "it has none".to_owned(),
                None => format!("it has {}", listed(spec.fields.iter().map(|f| f.name))),
            };
            let message = format!("`{}` has no field `{name}`", spec.mnemonic);
            return Err(AssemblyError::new(span, message, hint));
        };
        let field = &spec.fields[place];
        if raw[place].is_some() {
            let message = format!("`{name}` is given twice");
            return Err(AssemblyError::new(span, message, "leave one of them out"));
        }
        let value = if line.take('=') {
            let from = line.span().start;
            let value = line.value(field.kind)?;
            let to = line.tokens[line.at - 1].1.end;
            field_pattern(field, value, from..to)?
        } else if field.kind == Kind::Flag {
            1
        } else {
            let message = format!("`{name}` has no value");
            return Err(AssemblyError::new(span, message, format!("write `{name}=…`: {}", field.doc)));
        };
        raw[place] = Some(value);
    }
    let missing: Vec<&str> = spec
        .fields
        .iter()
        .zip(&raw)
        .filter(|(f, r)| r.is_none() && f.default.is_none())
        .map(|(f, _)| f.name)
        .collect();
    if !missing.is_empty() {
        let message = format!("`{}` lacks {}", spec.mnemonic, listed(missing.iter().copied()));
        return Err(AssemblyError::new(mnemonic.clone(), message, "these fields have no default"));
    }
    let or_default = |(f, r): (&FieldSpec, &Option<u64>)| r.unwrap_or(pattern(f, f.default.unwrap_or(0)));
    Ok(spec.fields.iter().zip(&raw).map(or_default).collect())
}

fn field_pattern(field: &FieldSpec, value: Value, span: Range<usize>) -> Result<u64, AssemblyError> {
    let refuse = |message: String, hint: String| AssemblyError::new(span.clone(), message, hint);
    let range = |value: i128, least: i128, greatest: i128| {
        if (least..=greatest).contains(&value) {
            let value = i64::try_from(value).map_err(|_| too_large(span.clone()))?;
            return Ok(pattern(field, value));
        }
        let message = format!("{} is {value}, beyond {least} to {greatest}", field.name);
        Err(refuse(message, format!("{}: {}", field.name, field.doc)))
    };
    let registers =
        |letter: char, count: u64| format!("{} is {letter}0 to {letter}{}", field.name, count - 1);
    let named = |names: &[&'static str], word: &str| {
        let found = names.iter().position(|n| *n == word).map(|i| i as u64);
        let hint = format!("{} is one of {}", field.name, listed(names.iter().copied()));
        found.ok_or_else(|| refuse(format!("`{word}` is no value of {}", field.name), hint))
    };
    match (field.kind, value) {
        (Kind::Uint(width), Value::Number(n)) => range(n, 0, (1 << width) - 1),
        (Kind::Int(width), Value::Number(n)) => range(n, -(1 << (width - 1)), (1 << (width - 1)) - 1),
        (Kind::Flag, Value::Number(n)) => range(n, 0, 1),
        (Kind::Format, Value::Number(n)) => range(n, 1, 64),
        (Kind::Overflow, Value::Name(word)) => named(&Overflow::ALL.map(Overflow::name), &word),
        (Kind::Rounding, Value::Name(word)) => named(&ROUNDINGS.map(rounding_name), &word),
        (Kind::Scalar | Kind::Scale | Kind::Counter | Kind::Mode, value) => {
            let letter = match field.kind {
                Kind::Scalar => 's',
                Kind::Scale => 'x',
                Kind::Counter => 'c',
                _ => 'm',
            };
            let count = 1u64 << field.width;
            match value {
                Value::Register(l, n) if l == letter && u64::from(n) < count => Ok(n.into()),
                _ => Err(refuse("no such register here".to_owned(), registers(letter, count))),
            }
        }
        (Kind::Address(only), Value::Place { memory, base, offset }) => {
            let found = Memory::ALL.iter().find(|m| m.name() == memory);
            let Some(&found) = found else {
                let hint = format!("memories are {}", listed(Memory::ALL.iter().map(|m| m.name())));
                return Err(refuse(format!("there is no memory `{memory}`"), hint));
            };
            if let Some(only) = only.filter(|&m| m != found) {
                let hint = format!("write `{}={}[…]`", field.name, only.name());
                return Err(refuse(format!("{} lies in {}, not in {memory}", field.name, only.name()), hint));
            }
            let low = u64::try_from(offset).ok().filter(|&o| o < 1 << OFFSET_BITS).ok_or_else(|| {
                let hint = "an offset is 0 to 2^40 - 1 bytes".to_owned();
                refuse(format!("{} has offset {offset}", field.name), hint)
            })?;
            let memory = if only.is_none() { (found.index() as u64) << MEMORY_SHIFT } else { 0 };
            Ok(low | u64::from(base) << OFFSET_BITS | memory)
        }
        (kind, _) => {
            let expected = match kind {
                Kind::Address(_) => "an address: `memory[offset]` or `memory[s1 + offset]`",
                Kind::Overflow => "wrap, saturate or trap",
                Kind::Rounding => "even, up or truncate",
                _ => "a number",
            };
            Err(refuse(format!("{} takes something else", field.name), format!("it is {expected}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(line: &str) -> Result<Option<Instr>, AssemblyError> {
        assemble(line, &Constants::from([("N".to_owned(), 32)]))
    }

    #[test]
    fn a_line_reads_as_it_is_written() {
        let line = "v.shift dst=operand[s1+0x40] dst_format=8 src=accumulator[0x0] src_format=32 shift=-6 bits=8 count=128";
        let instr = parsed(line).unwrap().unwrap();
        assert_eq!(instr.to_string(), line);
        let spaced = "v.shift  dst = operand[ 0x20 + s1 + N ], dst_format=8, src=accumulator[0] src_format=N shift=-(2*3) bits=8 count=4*N ; why";
        assert_eq!(parsed(spaced).unwrap().unwrap(), instr);
        assert_eq!(parsed("   ; nothing").unwrap(), None);
        assert_eq!(parsed("loop count=3").unwrap().unwrap().to_string(), "loop count=3");
    }

    #[test]
    fn errors_say_where_and_what_to_do() {
        let cases = [
            ("v.shft dst=operand[0]", 0..6, "v.shift"),
            ("loop cuont=3", 5..10, "count"),
            ("loop count=5_000_000_000", 11..24, "count"),
            ("loop", 0..4, "default"),
            ("loop count=1 count=2", 13..18, "leave one"),
            ("set dst=x3 value=1", 8..10, "s0 to s31"),
            ("set dst=s32 value=1", 8..11, "s0 to s31"),
            ("v.relu dst=operand[s1+s2] src=operand[0] format=8 count=1", 22..24, "s1 + offset"),
            ("v.relu dst=weights[0] src=operand[0] format=8 count=1", 11..21, "memories are"),
            ("m.taps out=operand[0]", 11..21, "accumulator["),
            ("mode dst=m0 bits=16 overflow=clamp outer_bits=16", 29..34, "saturate"),
            ("loop count=Nn", 11..13, "`N`"),
            ("loop count=3 @", 13..14, "comment"),
        ];
        for (line, span, hint) in cases {
            let error = parsed(line).unwrap_err();
            assert_eq!(error.span, span, "{line}: {error:?}");
            assert!(error.hint.contains(hint), "{line}: {error:?}");
        }
    }

    fn any_instr() -> impl Strategy<Value = Instr> {
        (0..TABLE.len(), prop::collection::vec(any::<u64>(), 48)).prop_filter_map(
            "a value",
            |(index, seeds)| {
                let fields = TABLE[index].fields.iter().zip(seeds);
                let raw: Vec<u64> = fields
                    .map(|(f, seed)| match f.kind {
                        Kind::Overflow | Kind::Rounding => seed % 3,
                        // One time in four the default.
                        _ if f.default.is_some() && seed % 4 == 0 => pattern(f, f.default.unwrap_or(0)),
                        _ => seed >> (64 - f.width),
                    })
                    .collect();
                Instr::from_raw_fields(index, &raw).ok()
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn text_and_back_is_exact(instr in any_instr()) {
            let text = instr.to_string();
            prop_assert_eq!(assemble(&text, &Constants::new()).map_err(|e| e.message), Ok(Some(instr)), "{}", text);
        }

        #[test]
        fn broken_lines_are_errors_not_panics(instr in any_instr(), at in any::<prop::sample::Index>(), c in any::<char>()) {
            let mut text: Vec<char> = instr.to_string().chars().collect();
            let place = at.index(text.len());
            text[place] = c;
            let text: String = text.into_iter().collect();
            if let Err(error) = assemble(&text, &Constants::new()) {
                prop_assert!(error.span.end <= text.len());
            }
        }
    }
}
