//! Memories as `$readmemh` reads them: bytes in hexadecimal, `@` before the address of what follows.

use std::fmt::Write;

use super::Stimulus;
use crate::isa::{Memory, Range};

/// Bytes a line.
const LINE: usize = 16;

/// A file for each memory that has ranges: `STEM.operand.hex` and its text; `bytes` gives those of a range by its number among
/// the ranges read and then those written.
pub(super) fn files<'b>(
    stimulus: &Stimulus,
    stem: &str,
    bytes: impl Fn(&Range, usize) -> Option<&'b [u8]>,
) -> Vec<(String, Vec<u8>)> {
    let ranges = || stimulus.footprint.reads.iter().chain(&stimulus.footprint.writes).enumerate();
    let mut files = Vec::new();
    for memory in Memory::ALL {
        let mut text = String::new();
        for (i, range) in ranges().filter(|(_, range)| range.memory == memory) {
            if let Some(bytes) = bytes(range, i) {
                block(&mut text, range.first, bytes);
            }
        }
        if !text.is_empty() {
            files.push((format!("{stem}.{}.hex", memory.name()), text.into_bytes()));
        }
    }
    files
}

fn block(text: &mut String, first: u64, bytes: &[u8]) {
    // A string takes all that is written.
    let _ = writeln!(text, "@{first:08x}");
    for line in bytes.chunks(LINE) {
        let line: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        let _ = writeln!(text, "{}", line.join(" "));
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_block_has_its_address_and_sixteen_bytes_a_line() {
        let mut text = String::new();
        super::block(&mut text, 0x120, &[0xab; 17]);
        let full = vec!["ab"; 16].join(" ");
        assert_eq!(text, format!("@00000120\n{full}\nab\n"));
    }
}
