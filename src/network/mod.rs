//! What the user wrote, checked: a network and the recipe that trains it. Owns layers, shapes, widths and scales of the
//! arithmetic that a program fixes; must not know machines' sizes, memory or instructions.

mod dataset;
mod geometry;
mod layer;
mod read;
mod recipe;
mod settings;

pub use dataset::{Augmentation, DataSet, Folder, InputTable};
pub use layer::{Layer, LayerKind, Pad, Pool, Products};
pub use read::{applied, load};
pub use recipe::{Rate, Recipe};
pub use settings::{Routed, route};

use serde::Serialize;
use serde_json::{Value, json};

use crate::number::AccumulatorRule;
use crate::spec::{Accumulators, Order, Phase};

/// Height, width and channels of a map; in memory in this order, channels fastest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct Shape {
    /// Rows.
    pub height: u32,
    /// Columns.
    pub width: u32,
    /// Channels.
    pub channels: u32,
}

impl Shape {
    /// A map of `height` × `width` × `channels`.
    pub const fn new(height: u32, width: u32, channels: u32) -> Self {
        Self { height, width, channels }
    }

    /// Elements.
    pub fn elements(self) -> u64 {
        u64::from(self.height) * u64::from(self.width) * u64::from(self.channels)
    }
}

/// The widths of the codes (`ARITHMETIC`: codes).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct Bits {
    /// Weights as used in a product.
    #[serde(rename = "W")]
    pub w: u32,
    /// Activations.
    #[serde(rename = "A")]
    pub a: u32,
    /// Stored weights and updates.
    #[serde(rename = "G")]
    pub g: u32,
    /// Errors.
    #[serde(rename = "E")]
    pub e: u32,
    /// Random words of the stochastic rounder.
    #[serde(rename = "R")]
    pub r: u32,
}

impl Default for Bits {
    fn default() -> Self {
        Self { w: 2, a: 8, g: 8, e: 8, r: 16 }
    }
}

/// Which of the two published forms gives the initial weights' range and the stored weights' limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Variant {
    /// The authors' published code.
    Code,
    /// The paper.
    Paper,
}

impl Variant {
    /// As files write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Code => "code",
            Self::Paper => "paper",
        }
    }
}

/// A network, checked: shapes fit, widths are allowed, the last layer is dense with one output a class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// What reports call it.
    pub name: String,
    /// One image.
    pub input: Shape,
    /// How an input byte becomes a code.
    pub input_table: InputTable,
    /// Classes, and outputs of the last layer.
    pub classes: u32,
    /// First to last.
    pub layers: Vec<Layer>,
    /// Widths of the codes.
    pub bits: Bits,
    /// The authors' code or the paper.
    pub variant: Variant,
    /// Whether the last layer's outputs become codes before the loss.
    pub quantise_output: bool,
}

impl Network {
    /// The greatest magnitude a stored weight keeps (`ARITHMETIC`: gradient and update 5), in stored units.
    pub fn stored_weight_limit(&self) -> i32 {
        match self.variant {
            Variant::Code => ((1 << (self.bits.w - 1)) - 1) << (self.bits.g - self.bits.w),
            Variant::Paper => (1 << (self.bits.g - 1)) - 1,
        }
    }

    /// Weights of all layers.
    pub fn weights(&self) -> u64 {
        self.layers.iter().map(Layer::weights).sum()
    }

    /// Products of one image in a phase, all layers.
    pub fn products(&self, phase: Phase) -> Products {
        self.layers.iter().map(|layer| layer.products(phase)).fold(Products::default(), |sum, layer| {
            Products { all: sum.all + layer.all, useful: sum.useful + layer.useful }
        })
    }

    /// The `net` metadata of a tensor dump: all that an independent program needs to compute the step again.
    /// `accumulators` may be left out where every register is wide enough to be exact.
    pub fn header(&self, lr_log2: i32, accumulators: Option<&Accumulators>) -> Value {
        let layers: Vec<Value> = (0..)
            .zip(&self.layers)
            .map(|(index, layer)| {
                let mut header = layer.header();
                let own = accumulators.map(|a| own_rules(a, index)).unwrap_or_default();
                if let (Some(object), false) = (header.as_object_mut(), own.is_empty()) {
                    object.insert("accumulators".to_owned(), Value::Object(own));
                }
                header
            })
            .collect();
        json!({
            "bits": self.bits,
            "lr_log2": lr_log2,
            "variant": self.variant,
            "quantise_output": self.quantise_output,
            "layers": layers,
            "accumulators": accumulators.map_or_else(|| json!({}), accumulators_header),
        })
    }
}

/// The rules a layer has of its own.
fn own_rules(accumulators: &Accumulators, layer: u32) -> serde_json::Map<String, Value> {
    let own = accumulators.layers.iter().filter(|((_, l), _)| *l == layer);
    own.map(|((phase, _), &rule)| (phase.name().to_owned(), rule_header(rule, accumulators.order))).collect()
}

fn accumulators_header(accumulators: &Accumulators) -> Value {
    let rule = |phase: Phase| rule_header(accumulators.rule(phase), accumulators.order);
    Value::Object(Phase::ALL.map(|phase| (phase.name().to_owned(), rule(phase))).into_iter().collect())
}

fn rule_header(rule: AccumulatorRule, order: Order) -> Value {
    let order = match order {
        Order::Kernel => "kernel".to_owned(),
        Order::Channels(block) => format!("channels:{block}"),
    };
    json!({
        "bits": rule.bits,
        "overflow": rule.overflow,
        "tree": rule.tree,
        "chunk": rule.chunk,
        "outer_bits": rule.outer_bits,
        "order": order,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Machine;

    fn lenet(sets: &[&str]) -> Network {
        let sets: Vec<_> =
            sets.iter().map(|set| crate::spec::Setting::parse(set).expect("a setting")).collect();
        load(include_str!("../../programs/lenet5-mnist.toml"), "lenet5-mnist.toml", &sets)
            .expect("the LeNet")
            .0
    }

    #[test]
    fn lenet_costs_the_products_the_contract_says() {
        let network = lenet(&[]);
        let total = |useful: bool| -> u64 {
            let count = |products: Products| if useful { products.useful } else { products.all };
            Phase::ALL.iter().map(|phase| count(network.products(*phase))).sum()
        };
        assert_eq!(total(true), 12_340_224);
        assert_eq!(total(false), 16_436_224);
    }

    #[test]
    fn the_stored_weight_limit_follows_the_variant() {
        assert_eq!(lenet(&[]).stored_weight_limit(), 64);
        assert_eq!(lenet(&["wage.variant=paper"]).stored_weight_limit(), 127);
        assert_eq!(lenet(&["wage.bits.W=8"]).stored_weight_limit(), 127);
        assert_eq!(lenet(&["wage.bits.W=3", "wage.bits.G=8"]).stored_weight_limit(), 96);
    }

    #[test]
    fn the_header_is_what_an_outside_check_reads() {
        let header = lenet(&[]).header(3, Some(&Machine::default().accumulators));
        assert_eq!(header["bits"], json!({"W": 2, "A": 8, "G": 8, "E": 8, "R": 16}));
        assert_eq!(header["lr_log2"], 3);
        assert_eq!(header["variant"], "code");
        assert_eq!(header["quantise_output"], false);
        let conv = json!({"kind": "conv", "pad": "valid", "pool": 2, "relu": true, "scale_log2": 1});
        assert_eq!(header["layers"][0], conv);
        let last = json!({"kind": "fc", "pad": "valid", "pool": null, "relu": false, "scale_log2": 3});
        assert_eq!(header["layers"][3], last);
        let rule = json!({
            "bits": 32, "overflow": "trap", "tree": 1, "chunk": 0, "outer_bits": 32, "order": "kernel"
        });
        assert_eq!(header["accumulators"], json!({"forward": rule, "error": rule, "gradient": rule}));
    }

    #[test]
    fn the_header_says_stride_and_pool_stride_only_where_they_are_not_the_default() {
        let header =
            lenet(&["layer.0.stride=2", "layer.1.pool_stride=1", "layer.1.kernel=3"]).header(0, None);
        assert_eq!(header["layers"][0]["stride"], 2);
        assert_eq!(header["layers"][1]["pool_stride"], 1);
        assert_eq!(header["layers"][0].get("pool_stride"), None);
        assert_eq!(header["accumulators"], json!({}));
    }
}
