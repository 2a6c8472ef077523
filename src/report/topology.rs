//! SCALE-Sim's figures for a topology on a machine's array: folds and cycles in both dataflows and with every drain, by the
//! same durations that programs are scheduled with.

use crate::network::ProductShape;
use crate::spec::{Drain, Machine};
use crate::timing::Folds;

/// What layers of a topology take on an array.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct TopologyEstimate {
    /// The file.
    pub topology: String,
    /// Short name of the machine.
    pub machine: String,
    /// Rows of the array.
    pub rows: u32,
    /// Its columns.
    pub columns: u32,
    /// Products a processing element makes in a cycle.
    pub tree: u32,
    /// Each layer.
    pub layers: Vec<ShapeEstimate>,
    /// All layers, one after another.
    pub totals: ShapeEstimate,
}

/// What a layer takes.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct ShapeEstimate {
    /// The layer; of the totals only the products count.
    #[serde(flatten)]
    pub shape: ProductShape,
    /// Products of numbers: M · K · N, as often as the layer is one.
    pub products: u64,
    /// Sums stay in the array.
    pub output_stationary: Flow,
    /// Weights stay.
    pub weight_stationary: Flow,
}

/// A layer in one dataflow.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Serialize)]
pub struct Flow {
    /// Folds.
    pub folds: u64,
    /// Cycles from the first operand to the last sum, by how a drain is paid.
    pub cycles: Drains<u64>,
    /// Products of those the array could have made in these cycles.
    pub utilisation: Drains<f64>,
}

/// A figure for each way a fold's drain is paid.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Serialize)]
pub struct Drains<T> {
    /// SCALE-Sim's code: no drain of sums that stay.
    pub ignore: T,
    /// SCALE-Sim's paper: every drain.
    pub serial: T,
    /// A second register hides all but the last.
    pub overlap: T,
}

/// Estimates the layers of a topology on a machine's array.
pub fn estimate_topology(topology: &str, layers: &[ProductShape], machine: &Machine) -> TopologyEstimate {
    let tree = machine.accumulators.forward.tree;
    let array = Array { machine, tree };
    let layers: Vec<ShapeEstimate> = layers.iter().map(|shape| array.estimate(shape)).collect();
    let totals = array.sum(&layers);
    TopologyEstimate {
        topology: topology.to_owned(),
        machine: machine.short_name(),
        rows: machine.array.rows,
        columns: machine.array.columns,
        tree,
        layers,
        totals,
    }
}

struct Array<'a> {
    machine: &'a Machine,
    tree: u32,
}

impl Array<'_> {
    fn estimate(&self, shape: &ProductShape) -> ShapeEstimate {
        let products = shape.m * shape.k * shape.n * shape.times;
        ShapeEstimate {
            shape: shape.clone(),
            products,
            output_stationary: self.flow(shape, false, products),
            weight_stationary: self.flow(shape, true, products),
        }
    }

    fn flow(&self, shape: &ProductShape, weight_stationary: bool, products: u64) -> Flow {
        let folds = Folds::of(shape.m, shape.k, shape.n, self.tree, weight_stationary, self.machine);
        let cycles = |drain| {
            let mut machine = self.machine.clone();
            machine.array.drain = drain;
            shape.times * folds.duration(weight_stationary, false, &machine).latency_cycles
        };
        let cycles = Drains {
            ignore: cycles(Drain::Ignore),
            serial: cycles(Drain::Serial),
            overlap: cycles(Drain::Overlap),
        };
        Flow { folds: shape.times * folds.count, cycles, utilisation: self.utilisation(products, cycles) }
    }

    #[expect(clippy::cast_precision_loss, reason = "shares to be read")]
    fn utilisation(&self, products: u64, cycles: Drains<u64>) -> Drains<f64> {
        let array = &self.machine.array;
        let multipliers = u64::from(array.rows) * u64::from(array.columns) * u64::from(self.tree);
        let share = |cycles: u64| products as f64 / (multipliers as f64 * cycles.max(1) as f64);
        Drains { ignore: share(cycles.ignore), serial: share(cycles.serial), overlap: share(cycles.overlap) }
    }

    fn sum(&self, layers: &[ShapeEstimate]) -> ShapeEstimate {
        let products = layers.iter().fold(0, |sum: u64, l| sum.saturating_add(l.products));
        let flow = |of: &dyn Fn(&ShapeEstimate) -> Flow| {
            let mut sum = Flow::default();
            for flow in layers.iter().map(of) {
                sum.folds = sum.folds.saturating_add(flow.folds);
                sum.cycles.ignore = sum.cycles.ignore.saturating_add(flow.cycles.ignore);
                sum.cycles.serial = sum.cycles.serial.saturating_add(flow.cycles.serial);
                sum.cycles.overlap = sum.cycles.overlap.saturating_add(flow.cycles.overlap);
            }
            Flow { utilisation: self.utilisation(products, sum.cycles), ..sum }
        };
        ShapeEstimate {
            shape: ProductShape { name: "all".to_owned(), m: 0, k: 0, n: 0, times: 0 },
            products,
            output_stationary: flow(&|l| l.output_stationary),
            weight_stationary: flow(&|l| l.weight_stationary),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::read_topology;

    const CONVOLUTIONS: &str =
        "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides,
AlexNet1, 227, 227, 11, 11, 3, 96, 4,
Odd, 13, 17, 3, 5, 7, 19, 1,
Strided, 15, 14, 3, 3, 10, 33, 2,
Point, 14, 14, 1, 1, 70, 45, 1,
Edge, 10, 9, 4, 3, 5, 8, 3,
";
    const PRODUCTS: &str = "Layer, M, N, K,\nOne, 1, 1, 1,\nB, 33, 65, 31,\nC, 100, 7, 129,\n";

    /// Rows, columns, whether weights stay, cycles of the convolutions and of the products.
    type Printed = (u32, u32, bool, [u64; 5], [u64; 3]);

    /// What SCALE-Sim 3.0.0 itself prints for these files, `Total Cycles`, by array, dataflow and file. It prints one less
    /// than the cycles counted from 1.
    const PRINTED: [Printed; 4] = [
        (32, 32, false, [121_124, 834, 607, 1847, 121], [62, 557, 763]),
        (32, 32, true, [112_283, 947, 857, 1739, 205], [94, 380, 969]),
        (12, 20, false, [497_144, 1619, 1199, 5099, 89], [30, 731, 1430]),
        (12, 20, true, [475_384, 1664, 1455, 4283, 254], [42, 899, 1561]),
    ];

    fn on(rows: u32, columns: u32, text: &str) -> TopologyEstimate {
        let mut machine = Machine::default();
        (machine.array.rows, machine.array.columns) = (rows, columns);
        estimate_topology("t", &read_topology(text, "t.csv", None).expect("a topology"), &machine)
    }

    fn flow(layer: &ShapeEstimate, weight_stationary: bool) -> Flow {
        if weight_stationary { layer.weight_stationary } else { layer.output_stationary }
    }

    #[test]
    fn scale_sim_prints_the_same() {
        for (rows, columns, weight_stationary, convolutions, products) in PRINTED {
            for (text, printed) in [(CONVOLUTIONS, &convolutions[..]), (PRODUCTS, &products[..])] {
                let found = on(rows, columns, text);
                let found: Vec<u64> =
                    found.layers.iter().map(|l| flow(l, weight_stationary).cycles.ignore - 1).collect();
                assert_eq!(found, printed, "{rows}×{columns}, weight-stationary: {weight_stationary}");
            }
        }
    }

    /// Figures worked out by hand: the paper's and the second register's formula, at 32×32.
    #[test]
    fn drains_are_paid_as_the_formulas_say() {
        let found = on(32, 32, CONVOLUTIONS);
        let alexnet = &found.layers[0];
        // M 3025, K 363, N 96: 95 · 3 folds of 363 and 64 + 32 + 363 - 2; 12 · 3 folds of 3025.
        assert_eq!((alexnet.shape.m, alexnet.shape.k, alexnet.shape.n), (3025, 363, 96));
        let (os, ws) = (alexnet.output_stationary, alexnet.weight_stationary);
        assert_eq!((os.folds, os.cycles.serial, os.cycles.overlap), (285, 285 * 457, 284 * 363 + 457));
        assert_eq!((ws.folds, ws.cycles.serial, ws.cycles.overlap), (36, 36 * 3119, 35 * 3025 + 3119));
        assert!((os.utilisation.overlap - 3025.0 * 363.0 * 96.0 / (1024.0 * 103_549.0)).abs() < 1e-12);
        // M 9, K 60, N 8: one fold; weight-stationary two, which bring 32 rows of weights for 9 rows of images.
        let edge = &found.layers[4];
        assert_eq!(edge.output_stationary.cycles, Drains { ignore: 122, serial: 154, overlap: 154 });
        assert_eq!(edge.weight_stationary.cycles, Drains { ignore: 206, serial: 206, overlap: 32 + 103 });
        let sum: u64 = found.layers.iter().map(|l| l.output_stationary.cycles.serial).sum();
        assert_eq!(found.totals.output_stationary.cycles.serial, sum);
    }

    #[test]
    fn a_depthwise_layer_is_a_product_for_each_channel() {
        let header = CONVOLUTIONS.lines().next().unwrap_or_default();
        let one = on(32, 32, &format!("{header}\nc, 14, 14, 3, 3, 1, 1, 1,\n"));
        let all = on(32, 32, &format!("{header}\nDPc, 14, 14, 3, 3, 64, 1, 1,\n"));
        let (one, all) = (one.totals, all.totals);
        assert_eq!(all.products, 64 * one.products);
        assert_eq!(all.output_stationary.cycles.ignore, 64 * one.output_stationary.cycles.ignore);
    }
}
