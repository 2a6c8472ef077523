//! Tensors of `wagesim run` as `.safetensors`: into a program's DRAM by name, and out of it.

use std::path::Path;

use anyhow::{Context, anyhow};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use super::{Failure, failed, given};
use crate::isa::{Memory, nearest};
use crate::machine::State;
use crate::program::{Program, Tensor};

/// Signedness and bytes of a file's whole numbers.
fn whole_number(dtype: Dtype) -> Option<(bool, usize)> {
    Some(match dtype {
        Dtype::I8 => (true, 1),
        Dtype::U8 | Dtype::BOOL => (false, 1),
        Dtype::I16 => (true, 2),
        Dtype::U16 => (false, 2),
        Dtype::I32 => (true, 4),
        Dtype::U32 => (false, 4),
        Dtype::I64 => (true, 8),
        _ => return None,
    })
}

/// A tensor's elements and shape, as a reader says them.
pub(super) fn form(tensor: &Tensor) -> String {
    let sign = if tensor.signed { "signed" } else { "unsigned" };
    format!("{sign}, {} bits, shape {:?}", tensor.format.bits(), tensor.shape)
}

/// The least and greatest value of a tensor's elements.
fn range(tensor: &Tensor) -> (i128, i128) {
    let bits = tensor.format.bits();
    if tensor.signed { (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) } else { (0, (1 << bits) - 1) }
}

/// Indices of element number `index`.
fn indices(index: u64, shape: &[u64]) -> Vec<u64> {
    let mut rest = index;
    let mut found: Vec<u64> = Vec::new();
    for &length in shape.iter().rev() {
        found.push(rest % length.max(1));
        rest /= length.max(1);
    }
    found.reverse();
    found
}

/// Puts a file's tensors into DRAM; their names.
pub(super) fn take(program: &Program, path: &Path, state: &mut State) -> Result<Vec<String>, Failure> {
    let origin = path.display().to_string();
    let bytes = std::fs::read(path).with_context(|| origin.clone()).map_err(given)?;
    let file = SafeTensors::deserialize(&bytes)
        .with_context(|| {
            format!("{origin}: not a whole .safetensors file; write it with safetensors' save_file")
        })
        .map_err(given)?;
    let mut views: Vec<_> = file.iter().collect();
    views.sort_by(|a, b| a.0.cmp(b.0));
    for (name, view) in &views {
        let refuse = |what: String| given(anyhow!("{origin}: tensor `{name}` {what}"));
        let tensor = program.tensor(name).ok_or_else(|| refuse(unknown(program, name)))?;
        let shape: Vec<u64> = view.shape().iter().map(|&d| d as u64).collect();
        if shape != tensor.shape {
            let way_out = if shape.iter().product::<u64>() == tensor.elements() {
                format!("reshape it: .reshape({:?})", tensor.shape)
            } else {
                "give it that shape".to_owned()
            };
            return Err(refuse(format!(
                "has shape {shape:?}; the program's has {:?}; {way_out}",
                tensor.shape
            )));
        }
        let (signed, size) = whole_number(view.dtype()).ok_or_else(|| {
            let dtype = view.dtype();
            refuse(format!(
                "is {dtype:?}; give whole numbers (i8, u8, i16, u16, i32, u32 or i64): .astype(\"int32\")"
            ))
        })?;
        let values = view.data().chunks(size).map(|chunk| {
            let mut wide = if signed && chunk[size - 1] >= 0x80 { [0xff; 8] } else { [0; 8] };
            wide[..size].copy_from_slice(chunk);
            i64::from_le_bytes(wide)
        });
        let dram = state.memory_mut(Memory::Dram);
        tensor.put(dram, values).map_err(|(index, value)| {
            let ((least, greatest), place) = (range(tensor), indices(index, &tensor.shape));
            refuse(format!(
                "holds {value} at {place:?}; the program's is {}: {least} to {greatest}",
                form(tensor)
            ))
        })?;
    }
    Ok(views.into_iter().map(|(name, _)| name.to_owned()).collect())
}

/// What a name that is no tensor's may have meant.
fn unknown(program: &Program, name: &str) -> String {
    let names = || program.tensors.iter().map(|t| t.name.as_str());
    match nearest(name, names()) {
        Some(near) => format!("is none of the program's; did you mean `{near}`?"),
        None => format!("is none of the program's: {}", names().collect::<Vec<_>>().join(", ")),
    }
}

/// The narrowest type of a file that holds every value of a tensor.
fn file_values(tensor: &Tensor, state: &State) -> (Dtype, Vec<u8>) {
    let (bits, signed) = (tensor.format.bits(), tensor.signed);
    let (dtype, size) = match (bits, signed) {
        (0..=8, true) => (Dtype::I8, 1),
        (0..=8, false) => (Dtype::U8, 1),
        (9..=16, true) => (Dtype::I16, 2),
        (9..=16, false) => (Dtype::U16, 2),
        (17..=32, true) => (Dtype::I32, 4),
        (17..=32, false) => (Dtype::U32, 4),
        _ => (Dtype::I64, 8),
    };
    let values = tensor.values(state.memory(Memory::Dram));
    (dtype, values.flat_map(|v| v.to_le_bytes().into_iter().take(size)).collect())
}

/// Writes tensors of these names, or all, from DRAM into a file.
pub(super) fn write(program: &Program, path: &Path, names: &[String], state: &State) -> Result<(), Failure> {
    if let Some(name) = names.iter().find(|n| program.tensor(n).is_none()) {
        return Err(given(anyhow!("--tensors: `{name}` {}", unknown(program, name))));
    }
    let wanted = program.tensors.iter().filter(|t| names.is_empty() || names.contains(&t.name));
    let data: Vec<_> = wanted
        .map(|t| {
            let (dtype, bytes) = file_values(t, state);
            let shape = t.shape.iter().map(|&d| usize::try_from(d).unwrap_or(usize::MAX)).collect::<Vec<_>>();
            (t.name.clone(), dtype, shape, bytes)
        })
        .collect();
    let views: Result<Vec<_>, _> = data
        .iter()
        .map(|(name, dtype, shape, bytes)| {
            TensorView::new(*dtype, shape.clone(), bytes).map(|view| (name.clone(), view))
        })
        .collect();
    let bytes = views.and_then(|v| safetensors::serialize(v, None)).map_err(failed)?;
    std::fs::write(path, bytes).with_context(|| path.display().to_string()).map_err(failed)
}
