//! Golden vectors read back: memories by a reader of `$readmemh` files, products recomputed from their tensors.

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

use crate::common::{here, ok, refused, wagesim};

/// Bytes by address.
fn memory(path: &Path) -> BTreeMap<u64, u8> {
    let (mut bytes, mut at) = (BTreeMap::new(), 0);
    for token in std::fs::read_to_string(path).unwrap().split_whitespace() {
        if let Some(address) = token.strip_prefix('@') {
            at = u64::from_str_radix(address, 16).unwrap();
            continue;
        }
        assert_eq!(token.len(), 2, "{token}");
        bytes.insert(at, u8::from_str_radix(token, 16).unwrap());
        at += 1;
    }
    bytes
}

fn numbers(file: &SafeTensors<'_>, name: &str) -> Vec<i128> {
    let view = file.tensor(name).unwrap();
    let size = match view.dtype() {
        Dtype::I8 => 1,
        Dtype::I32 => 4,
        Dtype::I64 => 8,
        other => panic!("{other:?}"),
    };
    let wide = |chunk: &[u8]| {
        let sign = if chunk[size - 1] >= 0x80 { 0xff } else { 0 };
        let mut wide = [sign; 16];
        wide[..size].copy_from_slice(chunk);
        i128::from_le_bytes(wide)
    };
    view.data().chunks(size).map(wide).collect()
}

/// The sums of a product held at the ends of 16 bits at every join, and how many joins left them.
fn saturating(left: &[i128], right: &[i128], [rows, length, columns]: [usize; 3]) -> (Vec<i128>, u64) {
    let (mut sums, mut out) = (Vec::new(), 0);
    for row in 0..rows {
        for column in 0..columns {
            let mut sum = 0;
            for k in 0..length {
                let exact = sum + left[row * length + k] * right[k * columns + column];
                sum = exact.clamp(-32768, 32767);
                out += u64::from(sum != exact);
            }
            sums.push(sum);
        }
    }
    (sums, out)
}

#[test]
fn vectors_hold_what_an_instruction_finds_and_leaves() {
    let dir = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(here("programs/requantise-product.s")).unwrap();
    let text = text.replace("overflow=trap", "overflow=saturate").replace("bits=32 ", "bits=16 ");
    std::fs::write(dir.path().join("p.s"), text.replace("outer_bits=32", "outer_bits=16")).unwrap();
    ok(dir.path(), &["trace", "p.s", "--zeros", "--golden", "g", "--stress", "--unit", "array,vector"]);
    let manifest = std::fs::read_to_string(dir.path().join("g/manifest.jsonl")).unwrap();
    let lines: Vec<Value> = manifest.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (head, end) = (&lines[0], lines.last().unwrap());
    assert!(head["vectors"] == "wagesim" && end["end"] == lines.len() - 2 && end["complete"] == true);
    let mut kinds = Vec::new();
    for line in lines[1..lines.len() - 1].iter().filter(|line| line["unit"] == "array") {
        kinds.push(line["operands"].as_str().unwrap());
        let folder = dir.path().join("g").join(line["vector"].as_str().unwrap());
        let bytes = std::fs::read(folder.join("tensors.safetensors")).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let (left, right, out) = (numbers(&file, "left"), numbers(&file, "right"), numbers(&file, "out"));
        let (sums, outside) = saturating(&left, &right, [16, 64, 32]);
        assert_eq!(out, sums, "{line}");
        if line["operands"] != "run" {
            assert_eq!(line["joins_out_of_range"], outside);
            assert!(outside > 0, "{line}");
        }
        // The same sums, as the memory holds them.
        let response = memory(&folder.join("response.accumulator.hex"));
        let first = line["writes"][0]["first"].as_u64().unwrap();
        let low = |place: usize| response[&(first + u64::try_from(place).unwrap())];
        assert!(sums.iter().enumerate().all(|(i, sum)| low(4 * i) == sum.to_le_bytes()[0]));
        let stimulus = memory(&folder.join("stimulus.operand.hex"));
        assert!(left.iter().zip(stimulus.values()).all(|(value, &byte)| value.to_le_bytes()[0] == byte));
    }
    assert_eq!(kinds, ["climb", "fall", "return", "run"]);
    let shifts = lines.iter().filter(|line| line["text"].as_str().is_some_and(|t| t.starts_with("v.shift")));
    assert!(shifts.clone().count() == 4 && shifts.clone().any(|line| line["clipped"].as_u64() > Some(0)));
}

#[test]
fn a_trap_is_a_fault_of_its_vector_and_a_limit_keeps_whole_vectors() {
    let dir = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(here("programs/requantise-product.s")).unwrap();
    let text = text.replace("bits=32 ", "bits=16 ").replace("outer_bits=32", "outer_bits=16");
    std::fs::write(dir.path().join("p.s"), text).unwrap();
    let args = ["trace", "p.s", "--zeros", "--golden", "g", "--stress", "--unit", "array"];
    ok(dir.path(), &args);
    let manifest = std::fs::read_to_string(dir.path().join("g/manifest.jsonl")).unwrap();
    assert!(
        manifest.contains("overflowed")
            && !dir.path().join("g/s1-i000002-climb/response.accumulator.hex").exists()
    );
    let out = wagesim(dir.path(), &[&args[..4], &["few", "--max-size", "30K"]].concat());
    assert!(out.status.success() && String::from_utf8_lossy(&out.stderr).contains("--max-size"));
    let manifest = std::fs::read_to_string(dir.path().join("few/manifest.jsonl")).unwrap();
    assert!(manifest.ends_with("\"complete\":false,\"end\":1}\n"), "{manifest}");
    std::fs::write(dir.path().join("file"), "").unwrap();
    let error = refused(dir.path(), 1, &["trace", "p.s", "--zeros", "--golden", "file"]);
    assert!(error.contains("file"), "{error}");
}
