//! A dump of every tensor of one step, taken where its instruction writes it, for recomputation outside.

use std::collections::BTreeMap;
use std::path::Path;

use super::yields::Elements;
use crate::isa::Instr;
use crate::machine::{Observer, Outcome, State};
use crate::program::{Plan, Probe, Program, Yield};

/// Why a dump is not written.
#[derive(Debug, thiserror::Error)]
pub enum DumpError {
    /// The folder or file cannot be written.
    #[error(transparent)]
    Write(#[from] std::io::Error),
    /// The tensors do not make a file.
    #[error(transparent)]
    Format(#[from] safetensors::SafeTensorError),
    /// A tensor with elements that no instruction wrote.
    #[error("tensor {tensor}: {missing} elements were not written in this step")]
    Incomplete {
        /// The tensor.
        tensor: String,
        /// How many elements are missing.
        missing: usize,
    },
}

struct Collected {
    shape: Vec<usize>,
    values: Vec<Option<i64>>,
}

/// Collects the probed tensors of one step.
pub struct TensorDump<'a> {
    program: &'a Program,
    tensors: BTreeMap<String, Collected>,
}

/// Tensor elements of a probe's box, in the order the instruction writes.
fn places(probe: &Probe, origin: i64) -> Vec<i64> {
    let mut places = vec![origin];
    for (&extent, &stride) in probe.extents.iter().zip(&probe.strides) {
        let steps = 0..i64::try_from(extent).unwrap_or(0);
        places = places.iter().flat_map(|&p| steps.clone().map(move |i| p + i * stride)).collect();
    }
    places
}

impl<'a> TensorDump<'a> {
    /// A dump of a program's next step.
    pub fn new(program: &'a Program) -> Self {
        TensorDump { program, tensors: BTreeMap::new() }
    }

    /// Writes `step-000001.safetensors` into a folder.
    ///
    /// # Errors
    /// When a tensor is incomplete or the file cannot be written.
    pub fn write(&self, dir: &Path, step: u32, lr_log2: i32) -> Result<(), DumpError> {
        let mut data = Vec::new();
        for (name, tensor) in &self.tensors {
            let values: Vec<i64> = tensor.values.iter().copied().flatten().collect();
            let missing = tensor.values.len() - values.len();
            if missing > 0 {
                return Err(DumpError::Incomplete { tensor: name.clone(), missing });
            }
            data.push((name.clone(), tensor.shape.clone(), encode(&values)));
        }
        let views: Result<Vec<_>, _> = data
            .iter()
            .map(|(name, shape, (dtype, bytes))| {
                safetensors::tensor::TensorView::new(*dtype, shape.clone(), bytes).map(|v| (name.clone(), v))
            })
            .collect();
        let mut net = self.program.training.as_ref().map(|t| t.header.clone()).unwrap_or_default();
        net["lr_log2"] = lr_log2.into();
        let header = [("net".to_owned(), net.to_string())].into();
        let bytes = safetensors::serialize(views?, Some(header))?;
        std::fs::create_dir_all(dir)?;
        std::fs::write(dir.join(format!("step-{step:06}.safetensors")), bytes)?;
        Ok(())
    }
}

/// The narrowest of i8, i32 and i64 that holds every value.
pub(crate) fn encode(values: &[i64]) -> (safetensors::Dtype, Vec<u8>) {
    use safetensors::Dtype;
    let bytes = |size: usize| values.iter().flat_map(|v| v.to_le_bytes().into_iter().take(size)).collect();
    if values.iter().all(|&v| i8::try_from(v).is_ok()) {
        (Dtype::I8, bytes(1))
    } else if values.iter().all(|&v| i32::try_from(v).is_ok()) {
        (Dtype::I32, bytes(4))
    } else {
        (Dtype::I64, bytes(8))
    }
}

impl Observer for TensorDump<'_> {
    fn executed(&mut self, plan: &Plan, step: usize, _: &Outcome, state: &State) {
        let step = &plan.steps[step];
        for named in plan.probes_of(step) {
            let Some(probe) = usize::try_from(named.probe).ok().and_then(|i| self.program.probes.get(i))
            else {
                continue;
            };
            let random = match (&step.instr, probe.what) {
                (Instr::VStochastic(i), Yield::Random) => Some(i),
                _ => None,
            };
            let from = Elements::of(&step.instr, probe.what);
            let shape: Vec<usize> = probe.shape.iter().map(|&d| usize::try_from(d).unwrap_or(0)).collect();
            let tensor = self
                .tensors
                .entry(probe.tensor.clone())
                .or_insert_with(|| Collected { values: vec![None; shape.iter().product()], shape });
            for (i, place) in (0u64..).zip(places(probe, named.origin)) {
                let value = match (&from, random) {
                    (_, Some(r)) => {
                        i64::from(state.rounding_words().word(r.number + i) >> (32 - r.random_bits))
                    }
                    (Some(e), None) => e.get(state, i),
                    (None, None) => continue,
                };
                if let Some(slot) = usize::try_from(place).ok().and_then(|p| tensor.values.get_mut(p)) {
                    *slot = Some(value);
                }
            }
        }
    }
}
