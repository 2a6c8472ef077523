//! Lines as tokens with the bytes they stand at. Knows characters, not what they mean.

use std::ops::Range;

use winnow::combinator::{alt, repeat};
use winnow::prelude::*;
use winnow::token::{one_of, take_while};

use super::AssemblyError;

/// A piece of a line.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// A name: letters, digits, `_` and `.`, not beginning with a digit.
    Word(String),
    /// Digits, with whatever letters follow them.
    Number(String),
    /// An operator, bracket, comma or equals sign.
    Mark(&'static str),
}

/// Marks, the longer before their beginnings.
const MARKS: [&str; 15] = ["<<", ">>", "=", "[", "]", "+", "-", "*", "/", "%", "&", "|", "(", ")", ","];

fn token(input: &mut &str) -> ModalResult<Token> {
    let word_start = |c: char| c.is_ascii_alphabetic() || c == '_';
    let word_rest = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    if let Some(mark) = MARKS.into_iter().find(|mark| input.starts_with(mark)) {
        *input = &input[mark.len()..];
        return Ok(Token::Mark(mark));
    }
    alt((
        (one_of(word_start), take_while(0.., word_rest)).take().map(|w: &str| Token::Word(w.to_owned())),
        (one_of('0'..='9'), take_while(0.., |c: char| c.is_ascii_alphanumeric() || c == '_'))
            .take()
            .map(|n: &str| Token::Number(n.to_owned())),
    ))
    .parse_next(input)
}

/// A line without its comment.
pub fn without_comment(line: &str) -> &str {
    line.split([';', '#']).next().unwrap_or("")
}

/// Tokens of a line with their bytes; a comment ends it.
pub(super) fn tokens(line: &str) -> Result<Vec<(Token, Range<usize>)>, AssemblyError> {
    let line = without_comment(line);
    let mut rest = line;
    let mut found = Vec::new();
    let blanks =
        |rest: &mut &str| -> ModalResult<()> { repeat(0.., one_of([' ', '\t', '\r'])).parse_next(rest) };
    loop {
        let _ = blanks(&mut rest);
        let start = line.len() - rest.len();
        if rest.is_empty() {
            return Ok(found);
        }
        match token(&mut rest) {
            Ok(token) => found.push((token, start..line.len() - rest.len())),
            Err(_) => {
                let width = rest.chars().next().map_or(1, char::len_utf8);
                let hint = "an instruction is `mnemonic field=value …`; a comment begins with `;`";
                let span = start..start + width;
                return Err(AssemblyError::new(span, "this character means nothing here", hint));
            }
        }
    }
}

/// A number as it may be written.
pub(super) fn number(text: &str) -> Option<i128> {
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

/// `s3` as a letter and a number.
pub(super) fn register(word: &str) -> Option<(char, u32)> {
    let letter = word.chars().next().filter(|c| "sxcm".contains(*c))?;
    let digits = &word[1..];
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten().map(|n| (letter, n))
}
