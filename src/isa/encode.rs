//! Instructions as words and back: fields at the table's positions, the rest zero.

use bitvec::prelude::*;

use super::instr::{Instr, InstrSpec, TABLE};

/// Bits of the opcode.
const OPCODE_BITS: usize = 8;

/// Why an instruction has no words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("instruction {index} `{mnemonic}`: {field} does not fit its {width} bits")]
pub struct EncodeError {
    /// Which instruction.
    pub index: usize,
    /// Its mnemonic.
    pub mnemonic: &'static str,
    /// The field.
    pub field: &'static str,
    /// The field's width.
    pub width: u32,
}

/// Why words are no instructions.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("word {word}: {what}")]
pub struct DecodeError {
    /// First word of the instruction at fault.
    pub word: usize,
    /// What is wrong.
    pub what: String,
}

fn span(position: u32, width: u32) -> std::ops::Range<usize> {
    let first = usize::try_from(position).unwrap_or(0);
    first..first + usize::try_from(width).unwrap_or(0)
}

fn length(spec: &InstrSpec) -> usize {
    usize::try_from(spec.words).unwrap_or(1)
}

/// Words of a program, in order.
///
/// # Errors
/// When a field's value needs more bits than it has.
pub fn encode(code: &[Instr]) -> Result<Vec<u64>, EncodeError> {
    let mut words = Vec::new();
    for (index, instr) in code.iter().enumerate() {
        let spec = instr.spec();
        let mut bits: BitVec<u64, Lsb0> = BitVec::repeat(false, 64 * length(spec));
        bits[..OPCODE_BITS].store_le(spec.opcode);
        for (field, raw) in spec.fields.iter().zip(instr.raw_fields()) {
            let (mnemonic, width) = (spec.mnemonic, field.width);
            if width < 64 && raw >> width != 0 {
                return Err(EncodeError { index, mnemonic, field: field.name, width });
            }
            bits[span(field.position, width)].store_le(raw);
        }
        words.extend_from_slice(bits.as_raw_slice());
    }
    Ok(words)
}

/// The instructions that words are.
///
/// # Errors
/// At the first word that begins no instruction of the table, is cut short, or has bits that mean nothing.
pub fn decode(words: &[u64]) -> Result<Vec<Instr>, DecodeError> {
    let mut code = Vec::new();
    let mut word = 0;
    while let Some(&first) = words.get(word) {
        let fail = |what: String| DecodeError { word, what };
        let opcode = first & 0xff;
        let known = TABLE.iter().position(|s| u64::from(s.opcode) == opcode);
        let index = known.ok_or_else(|| fail(format!("no instruction has opcode {opcode:#04x}")))?;
        let spec = &TABLE[index];
        let own = words.get(word..word + length(spec)).ok_or_else(|| {
            fail(format!("`{}` has {} words; the code ends within it", spec.mnemonic, spec.words))
        })?;
        let bits = own.view_bits::<Lsb0>();
        let raw: Vec<u64> = spec.fields.iter().map(|f| bits[span(f.position, f.width)].load_le()).collect();
        let end = spec.fields.last().map_or(OPCODE_BITS, |f| span(f.position, f.width).end);
        if bits[end..].any() {
            return Err(fail(format!("`{}` has bits beyond its fields", spec.mnemonic)));
        }
        let instr = Instr::from_raw_fields(index, &raw).map_err(|f| {
            fail(format!("`{}`: {} has no value {}", spec.mnemonic, spec.fields[f].name, raw[f]))
        })?;
        code.push(instr);
        word += own.len();
    }
    Ok(code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_instr() -> impl Strategy<Value = Instr> {
        (0..TABLE.len(), prop::collection::vec(any::<u64>(), 48)).prop_filter_map(
            "a value",
            |(index, seeds)| {
                let raw: Vec<u64> = TABLE[index]
                    .fields
                    .iter()
                    .zip(seeds)
                    .map(|(f, seed)| match f.name {
                        _ if f.kind == super::super::Kind::Overflow
                            || f.kind == super::super::Kind::Rounding =>
                        {
                            seed % 3
                        }
                        _ if f.kind == super::super::Kind::Address(None) => (seed >> 19) % (5 << 45),
                        _ => seed >> (64 - f.width),
                    })
                    .collect();
                Instr::from_raw_fields(index, &raw).ok()
            },
        )
    }

    proptest! {
        #[test]
        fn every_instruction_decodes_to_itself(code in prop::collection::vec(any_instr(), 1..8)) {
            prop_assert_eq!(decode(&encode(&code).unwrap()).unwrap(), code);
        }

        #[test]
        fn random_words_are_instructions_or_an_error(words in prop::collection::vec(any::<u64>(), 0..12)) {
            if let Ok(code) = decode(&words) {
                prop_assert_eq!(encode(&code).unwrap(), words);
            }
        }
    }

    #[test]
    fn fields_lie_one_behind_the_other_and_fit_their_words() {
        for spec in TABLE {
            let mut position = 8;
            for field in spec.fields {
                assert_eq!(field.position, position, "{} {}", spec.mnemonic, field.name);
                position += field.width;
            }
            assert_eq!(spec.words, position.div_ceil(64), "{}", spec.mnemonic);
        }
    }

    #[test]
    fn a_value_too_large_for_its_field_is_refused() {
        let index = TABLE.iter().position(|s| s.mnemonic == "v.pool").unwrap();
        let zeros = vec![0; TABLE[index].fields.len()];
        let Instr::VPool(pool) = Instr::from_raw_fields(index, &zeros).unwrap() else { panic!("a v.pool") };
        let instr = Instr::VPool(super::super::VPool { window: 32, ..pool });
        let error = encode(&[instr]).unwrap_err();
        assert_eq!((error.mnemonic, error.field), ("v.pool", "window"));
    }
}
