//! The memory map: where every tensor of a training program lies in DRAM, and in which format.

use crate::isa::Format;
use crate::network::{Layer, Loss, Network, Recipe};
use crate::program::{Initial, Tensor};
use crate::spec::{Machine, Phase};

/// A tensor's place in DRAM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stored {
    /// Byte address, a multiple of [`ALIGNMENT`].
    pub(super) address: u64,
    /// Format of an element.
    pub(super) format: Format,
}

/// Tensors begin at multiples of this many bytes.
pub(super) const ALIGNMENT: u64 = 64;

/// Tensors of one layer.
#[derive(Debug, Clone, Copy)]
pub(super) struct LayerMap {
    /// Stored weights, HWIO, `k_G` bits in whole bytes.
    pub(super) weight: Stored,
    /// Weights as used, HWIO, packed at `k_W` bits.
    pub(super) weight_q: Stored,
    /// The layer's input codes, `[batch, h, w, c]`.
    pub(super) input: Stored,
    /// States of its activations (hidden layers), `[batch, h', w', N]`, 2 bits.
    pub(super) state: Stored,
    /// Places its pooling kept, `[batch, h', w', N]`.
    pub(super) place: Stored,
    /// Error accumulators of its activations that wait for the batch's maximum; for the last layer its outputs.
    pub(super) waiting: Stored,
    /// Differences of the last layer's outputs that wait for the maximum.
    pub(super) difference: Stored,
    /// Its error, routed back through its pooling: `[batch, H, W, N]`.
    pub(super) error: Stored,
    /// Gradient accumulators that wait for the maximum, as the weights lie.
    pub(super) gradient: Stored,
}

/// The whole map.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) input: Stored,
    pub(super) label: Stored,
    pub(super) table: Stored,
    pub(super) prediction: Stored,
    /// Powers of two for softmax, where it is the loss.
    pub(super) powers: Option<Stored>,
    pub(super) layers: Vec<LayerMap>,
    pub(super) tensors: Vec<Tensor>,
    pub(super) bytes: u64,
}

/// Formats a program's values take, by the storage rules; those of accumulators by layer.
#[derive(Debug, Clone)]
pub(super) struct Formats {
    /// Of the layer's forward accumulators.
    pub(super) forward: Vec<Format>,
    /// Of the error accumulators that the layer's weights yield: those of the activations below.
    pub(super) error: Vec<Format>,
    /// Of the layer's gradient accumulators.
    pub(super) gradient: Vec<Format>,
    pub(super) difference: Format,
    pub(super) step: Format,
}

fn format(bits: u32) -> Format {
    Format::new(bits).expect("widths are checked by network and spec")
}

/// Bits a code of `bits` bits occupies: one byte up to 8, two up to 16, four beyond.
pub(super) fn code_format(bits: u32) -> Format {
    format(match bits {
        0..=8 => 8,
        9..=16 => 16,
        17..=32 => 32,
        _ => 64,
    })
}

/// Format of the codes of a layer's errors.
pub(super) fn error_format(layer: &Layer) -> Format {
    code_format(layer.bits.e)
}

impl Formats {
    pub(super) fn new(network: &Network, recipe: &Recipe, machine: &Machine) -> Self {
        let rules = &machine.accumulators;
        let bytes = |phase| {
            let layers = 0..network.layers.len();
            let bytes = layers.map(|layer| machine.accumulator_bytes(rules.rule_of(phase, layer)));
            bytes.map(|bytes| format(8 * u32::try_from(bytes).unwrap_or(8))).collect()
        };
        let last = network.layers.last().expect("a network has layers");
        let output_bits = if network.loss == Loss::Softmax {
            SHARE_BITS
        } else if network.quantise_output {
            last.bits.a
        } else {
            let rule = rules.rule_of(Phase::Forward, network.layers.len() - 1);
            rule.bits.max(rule.outer_bits)
        };
        let target_bits = loss_shift(network) + 2;
        debug_assert!(last.last);
        // |k| is at most floor(eta * sqrt 2) + 1 (ARITHMETIC: codes); eta * 1.5 bounds it from above.
        let step_bits = u32::try_from(recipe.max_lr_log2().max(0)).unwrap_or(0) + 3;
        Formats {
            forward: bytes(Phase::Forward),
            error: bytes(Phase::Error),
            gradient: bytes(Phase::Gradient),
            difference: if output_bits.max(target_bits) < 32 { format(32) } else { format(64) },
            step: code_format(step_bits),
        }
    }
}

/// Entries of softmax's table.
pub(super) const POWERS: u64 = 257;

/// Bits of fraction of softmax's shares (ISA manual: softmax).
pub(super) const SHARE_BITS: u32 = 16;

/// log2 of the one-hot target, in units of the outputs (ARITHMETIC: loss and error 1).
pub(super) fn loss_shift(network: &Network) -> u32 {
    let last = network.layers.last().expect("a network has layers");
    if network.loss == Loss::Softmax {
        SHARE_BITS
    } else if network.quantise_output {
        last.bits.a - 1
    } else {
        last.input_bits - 1 + last.bits.w - 1 + last.scale_log2
    }
}

/// Bits of a pool's place.
pub(super) fn place_format(layer: &Layer) -> Format {
    let window = layer.pool.map_or(1, |p| p.window * p.window);
    format((u32::BITS - (window - 1).leading_zeros()).max(1))
}

/// A convolution's accumulators of one image.
pub(super) fn map_shape(layer: &Layer) -> [u64; 3] {
    [layer.out_h.into(), layer.out_w.into(), layer.channels.into()]
}

/// A layer's input of one image.
pub(super) fn input_shape(layer: &Layer) -> [u64; 3] {
    [layer.input.height.into(), layer.input.width.into(), layer.input.channels.into()]
}

/// A layer's activations of one image.
pub(super) fn output_shape(layer: &Layer) -> [u64; 3] {
    [layer.output.height.into(), layer.output.width.into(), layer.output.channels.into()]
}

/// The dimensions of a layer's weights: HWIO, or [in, out].
pub(super) fn weight_shape(layer: &Layer) -> Vec<u64> {
    let [inputs, outputs] = [u64::from(layer.input.channels), u64::from(layer.channels)];
    match layer.kind {
        crate::network::LayerKind::Conv => {
            vec![layer.kernel_h.into(), layer.kernel_w.into(), inputs, outputs]
        }
        crate::network::LayerKind::Fc => vec![inputs, outputs],
    }
}

struct Allocator {
    tensors: Vec<Tensor>,
    next: u64,
}

impl Allocator {
    fn place(&mut self, tensor: Tensor) -> Stored {
        let stored = Stored { address: self.next, format: tensor.format };
        self.next = (self.next + tensor.bytes()).next_multiple_of(ALIGNMENT);
        self.tensors.push(Tensor { address: stored.address, ..tensor });
        stored
    }

    fn zeroed(&mut self, name: &str, format: Format, signed: bool, shape: Vec<u64>) -> Stored {
        let (name, initial) = (name.to_owned(), Initial::Zero);
        self.place(Tensor { name, address: 0, format, signed, shape, initial, kept: false })
    }
}

impl Layout {
    pub(super) fn new(network: &Network, recipe: &Recipe, formats: &Formats) -> Self {
        let batch = u64::from(recipe.batch);
        let mut map = Allocator { tensors: Vec::new(), next: 0 };
        let first = &network.layers[0];
        let image = [network.input.height.into(), network.input.width.into(), network.input.channels.into()];
        let batched = |s: [u64; 3]| [&[batch][..], &s[..]].concat();
        let input = map.zeroed("input", format(8), false, batched(image));
        let label = map.zeroed("label", format(16), false, vec![batch]);
        let table = map.place(Tensor {
            name: "table".into(),
            address: 0,
            format: code_format(first.input_bits),
            signed: true,
            shape: vec![256],
            initial: Initial::Values(super::input_table(network.input_table, first.input_bits)),
            kept: false,
        });
        let prediction = map.zeroed("prediction", format(16), false, vec![batch]);
        let powers = (network.loss == Loss::Softmax).then(|| {
            map.place(Tensor {
                name: "powers".into(),
                address: 0,
                format: format(32),
                signed: true,
                shape: vec![POWERS],
                initial: Initial::Values(super::softmax::powers()),
                kept: false,
            })
        });
        let mut numbers = 0;
        let mut layers = Vec::new();
        for (i, layer) in network.layers.iter().enumerate() {
            let name = |what: &str| format!("layer.{i}.{what}");
            let weight = map.place(Tensor {
                name: name("weight"),
                address: 0,
                format: code_format(layer.bits.g),
                signed: true,
                shape: weight_shape(layer),
                initial: Initial::Drawn {
                    first: numbers,
                    limit: layer.weight_limit_fixed(),
                    bits: layer.bits.w,
                    shift: layer.bits.g - layer.bits.w,
                },
                kept: true,
            });
            numbers += layer.weights();
            let weight_q = map.zeroed(&name("weight_q"), format(layer.bits.w), true, weight_shape(layer));
            let codes = code_format(layer.input_bits);
            let input = map.zeroed(&name("input"), codes, true, batched(input_shape(layer)));
            let [state, place] = [("state", format(2)), ("place", place_format(layer))]
                .map(|(what, format)| map.zeroed(&name(what), format, false, batched(output_shape(layer))));
            let waiting_format = if layer.last { formats.forward[i] } else { formats.error[i + 1] };
            let waiting = map.zeroed(&name("waiting"), waiting_format, true, batched(output_shape(layer)));
            let difference = if layer.last {
                map.zeroed("difference", formats.difference, true, batched(output_shape(layer)))
            } else {
                waiting
            };
            let error = map.zeroed(&name("error"), error_format(layer), true, batched(map_shape(layer)));
            let gradient = map.zeroed(&name("gradient"), formats.gradient[i], true, weight_shape(layer));
            layers.push(LayerMap {
                weight,
                weight_q,
                input,
                state,
                place,
                waiting,
                difference,
                error,
                gradient,
            });
        }
        Layout { input, label, table, prediction, powers, layers, tensors: map.tensors, bytes: map.next }
    }
}
