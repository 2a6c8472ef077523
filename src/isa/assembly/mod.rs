//! Instructions as text and back, by the table: `mnemonic field=value …`, fields at their default left out.
//!
//! ```text
//! v.shift dst=operand[s1+0x40] dst_format=8 src=accumulator[0] src_format=32 shift=6 bits=8 count=N*4
//! ```
//! Knows one line and the names it may use; labels, directives, macros and files are the program's.

mod expression;
mod fields;
mod line;
mod names;
mod token;

use std::ops::Range;

pub use line::Line;
pub use names::{NameError, Names, Place, Scope, Value, choices, listed, nearest};
pub use token::without_comment;

use super::instr::{Instr, TABLE};
use fields::fields;

/// What is wrong with a line, where in it, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssemblyError {
    /// Bytes of the line that are meant.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: String,
    /// It only follows from an error already told: a name whose definition was refused.
    pub follows: bool,
}

impl AssemblyError {
    fn new(span: Range<usize>, message: impl Into<String>, hint: impl Into<String>) -> Self {
        AssemblyError { span, message: message.into(), hint: hint.into(), follows: false }
    }

    fn following(span: Range<usize>) -> Self {
        let message = "this name's definition was refused";
        AssemblyError { follows: true, ..AssemblyError::new(span, message, "mend its definition first") }
    }
}

/// The instruction of a line; none where it is blank or a comment.
///
/// `macros` are names that may have been meant, too.
///
/// # Errors
/// Unknown mnemonics and fields, values out of range, fields missing or given twice: where, and what to do.
pub fn assemble<'m>(
    text: &str,
    scope: Scope<'_>,
    macros: impl Iterator<Item = &'m str>,
) -> Result<Option<Instr>, AssemblyError> {
    let mut line = Line::new(text, scope)?;
    if line.is_done() {
        return Ok(None);
    }
    let first = line.span();
    let Some((mnemonic, span)) = line.word() else {
        let hint = "an instruction begins with its mnemonic";
        return Err(AssemblyError::new(first, "no instruction begins like this", hint));
    };
    let Some(index) = TABLE.iter().position(|s| s.mnemonic == mnemonic) else {
        let mnemonics = || TABLE.iter().map(|s| s.mnemonic);
        let hint = match nearest(&mnemonic, mnemonics().chain(macros)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are {}", listed(mnemonics())),
        };
        return Err(AssemblyError::new(span, format!("there is no instruction or macro `{mnemonic}`"), hint));
    };
    let spec = &TABLE[index];
    let raw = fields(&mut line, spec, &span)?;
    Instr::from_raw_fields(index, &raw).map(Some).map_err(|field| {
        let message = format!("{} has no value {}", spec.fields[field].name, raw[field]);
        AssemblyError::new(span, message, spec.fields[field].doc)
    })
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use proptest::prelude::*;

    use super::super::{Memory, Scalar};
    use super::*;
    use crate::isa::disassembly::pattern;
    use crate::isa::instr::Kind;

    fn names() -> Names {
        let mut names = Names::default();
        let place = |memory, offset, bytes, tensor: Option<(u32, Vec<u64>)>| {
            let (bytes, tensor) = (Some(bytes), tensor.map(Rc::new));
            Value::Place(Place { memory, base: Scalar(0), offset, bytes, tensor })
        };
        for (name, value) in [
            ("N", Value::Number(32)),
            ("row", Value::Register('s', 1)),
            ("max", Value::Register('x', 2)),
            ("codes", place(Memory::Operand, 64, 1024, None)),
            ("a", place(Memory::Dram, 128, 2048, Some((8, vec![16, 128])))),
            ("broken", Value::Refused),
        ] {
            names.define(name, value, 0..0).unwrap();
        }
        names
    }

    fn parsed(line: &str) -> Result<Option<Instr>, AssemblyError> {
        assemble(line, Scope::new(&names()), std::iter::empty())
    }

    /// The number an expression is.
    fn number(text: &str) -> Result<i128, AssemblyError> {
        let names = names();
        let mut line = Line::new(text, Scope::new(&names))?;
        let (value, span) = line.value()?;
        line.end("a number")?;
        line.as_number(value, &span)
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
    fn names_stand_for_registers_and_places() {
        let line = "load dst=codes[row+16] src=a bytes=sizeof(a)/2";
        let plain = "load dst=operand[s1+0x50] src=dram[0x80] bytes=1024";
        assert_eq!(parsed(line).unwrap().unwrap().to_string(), plain);
        let line = "v.maxabs dst=max src=codes[32] src_format=bits(a) count=dim(a, 0)";
        let plain = "v.maxabs dst=x2 src=operand[0x60] src_format=8 count=16";
        assert_eq!(parsed(line).unwrap().unwrap().to_string(), plain);
    }

    #[test]
    fn operators_bind_as_in_c() {
        let cases = [
            ("2 + 3*4", 14),
            ("(2 + 3)*4", 20),
            ("10 - 4 - 3", 3),
            ("100/7/2", 7),
            ("-7 / 2", -3),
            ("-7 % 4", -3),
            ("1 << 4 + 1", 32),
            ("6 & 3 | 8", 10),
            ("1 | 2 & 2 << 1", 1),
            ("0xff >> 4", 15),
            ("-16 >> 2", -4),
            ("- -3", 3),
            ("a + 1", 129),
            ("elements(a)*bits(a)/8 - sizeof(a)", 0),
        ];
        for (text, value) in cases {
            assert_eq!(number(text), Ok(value), "{text}");
        }
    }

    #[test]
    fn what_follows_from_a_refused_definition_says_so() {
        for line in ["loop count=broken", "loop count=2*broken", "loop count=sizeof(broken)"] {
            assert!(parsed(line).unwrap_err().follows, "{line}");
        }
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
            ("v.relu dst=weights[0] src=operand[0] format=8 count=1", 11..18, "`weight`"),
            ("v.relu dst=place[0] src=operand[0] format=8 count=1", 11..16, "memories are"),
            ("v.relu dst=operand src=operand[0] format=8 count=1", 11..18, "operand[0]"),
            ("v.relu dst=cods src=operand[0] format=8 count=1", 11..15, "`codes`"),
            ("v.relu dst=codes[1024] src=operand[0] format=8 count=1", 17..21, "0 to 1023"),
            ("v.relu dst=N[0] src=operand[0] format=8 count=1", 11..12, "before `[`"),
            ("v.relu dst=row src=operand[0] format=8 count=1", 11..14, "an address"),
            ("v.relu dst=operand[max] src=operand[0] format=8 count=1", 19..22, "s0 to s31"),
            ("v.relu dst=operand[0-s1] src=operand[0] format=8 count=1", 21..23, "s1 + offset"),
            ("loop count=s3", 11..13, "addresses only"),
            ("loop count=row+1", 11..16, "addresses only"),
            ("loop count=1/0", 13..14, "divisor"),
            ("loop count=1<<64", 14..16, "0 to 63"),
            ("loop count=sizeof(N)", 18..19, "bytes of a tensor"),
            ("loop count=sizof(a)", 11..16, "sizeof(NAME)"),
            ("loop count=dim(a,2)", 17..18, "it has 2"),
            ("loop count=bits(codes)", 16..21, "bits of a tensor"),
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
            prop_assert_eq!(assemble(&text, Scope::new(&Names::default()), std::iter::empty()).map_err(|e| e.message), Ok(Some(instr)), "{}", text);
        }

        #[test]
        fn broken_lines_are_errors_not_panics(instr in any_instr(), at in any::<prop::sample::Index>(), c in any::<char>()) {
            let mut text: Vec<char> = instr.to_string().chars().collect();
            let place = at.index(text.len());
            text[place] = c;
            let text: String = text.into_iter().collect();
            if let Err(error) = assemble(&text, Scope::new(&Names::default()), std::iter::empty()) {
                prop_assert!(error.span.end <= text.len());
            }
        }
    }
}
