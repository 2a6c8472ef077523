//! Operands and results of a vector as a `.safetensors` file: of a product its factors and sums, of anything else the ranges.

use safetensors::Dtype;
use safetensors::tensor::TensorView;

use super::{Response, Stimulus, place};
use crate::machine::Operands;
use crate::observe::encode;
use crate::program::Step;

type Tensor = (String, Dtype, Vec<usize>, Vec<u8>);

fn numbers(name: &str, shape: [u32; 2], values: &[i64]) -> Tensor {
    let (dtype, bytes) = encode(values);
    (name.to_owned(), dtype, shape.map(|n| usize::try_from(n).unwrap_or(0)).to_vec(), bytes)
}

/// The file of a vector.
pub(super) fn file(stimulus: &Stimulus, step: &Step, response: &Response<'_>) -> Vec<u8> {
    let mut tensors: Vec<Tensor> = Vec::new();
    let done = match response {
        Response::Done(state, ..) => Some(*state),
        Response::Fault(_) => None,
    };
    if let Some(operands) = &stimulus.operands {
        let Operands { rows, length, columns, left, right, out } = operands;
        tensors.push(numbers("left", [*rows, *length], left));
        tensors.push(numbers("right", [*length, *columns], right));
        tensors.push(numbers("out_before", [*rows, *columns], out));
        if let Some(after) = done.and_then(|state| Operands::of(step, state)) {
            tensors.push(numbers("out", [*rows, *columns], &after.out));
        }
    } else {
        let reads = stimulus.footprint.reads.len();
        for (i, bytes) in stimulus.ranges.iter().enumerate() {
            let name = if i < reads { format!("reads.{i}") } else { format!("writes.{}.before", i - reads) };
            tensors.push((name, Dtype::U8, vec![bytes.len()], bytes.clone()));
        }
        for (i, range) in stimulus.footprint.writes.iter().enumerate() {
            if let Some(state) = done {
                let bytes = state.memory(range.memory)[place(range.first)..place(range.end)].to_vec();
                tensors.push((format!("writes.{i}.after"), Dtype::U8, vec![bytes.len()], bytes));
            }
        }
    }
    let views = tensors.iter().filter_map(|(name, dtype, shape, bytes)| {
        Some((name.clone(), TensorView::new(*dtype, shape.clone(), bytes).ok()?))
    });
    safetensors::serialize(views, None).unwrap_or_default()
}
