//! Gradients, and the update of the weights they are for.

use super::emit::{Emitter, Tile};
use super::forward::{flat, units};
use super::layout::weight_shape;
use super::moves::{BoxMove, Extent, Region3};
use super::positions::{PositionsProduct, PositionsTiling};
use super::taps::narrow;
use super::window::Window;
use super::{CompileError, GRADIENT, LEARNING_RATE, Lowering, MAXIMUM, STEP_SHIFT};
use crate::isa::{Address, Instr, Memory, VMaxabs, VStochastic, VSub, XExponent, XSet, XSub};
use crate::program::{Class, Phase, Yield};
use crate::spec::Phase as Array;

impl Lowering<'_> {
    /// Gradient and update of every layer, last to first, each before the error below it; every product uses
    /// the weights from before the update, which are stored apart.
    pub(super) fn backward(&self, e: &mut Emitter) -> Result<(), CompileError> {
        for i in (0..self.network.layers.len()).rev() {
            let resident = self.gradient(e, i)?;
            self.update(e, i, resident)?;
            if i > 0 {
                self.error(e, i - 1)?;
            }
        }
        Ok(())
    }

    /// Emits the gradient; whether all of it still stands in the accumulator memory.
    fn gradient(&self, e: &mut Emitter, i: usize) -> Result<bool, CompileError> {
        e.mark(Phase::Gradient, u32::try_from(i).ok());
        let (layer, map) = (&self.network.layers[i], &self.layout.layers[i]);
        let (name, shape) = (format!("layer.{i}.grad"), weight_shape(layer));
        let rule = self.machine.accumulators.rule_of(Array::Gradient, i);
        e.accumulators(GRADIENT, rule, self.stationary(Array::Gradient));
        let product = PositionsProduct {
            layer: i,
            window: Window::forward(layer),
            columns: layer.channels.into(),
            batch: self.batch,
            left: map.input,
            right: map.error,
            out: map.gradient.format,
            rule,
            weight_stationary: self.stationary(Array::Gradient),
            mode: GRADIENT,
            probe: &name,
            shape: &shape,
        };
        let taps = product.window.tap_count();
        let emit = |e: &mut Emitter, tiling: PositionsTiling| {
            let mut resident = false;
            self.banks(e, product.tile_bytes(&tiling).unwrap_or_default());
            product.emit(e, &tiling, &mut |e, block| {
                let (src, src_format) = (e.at(Memory::Accumulator, 0), map.gradient.format);
                let count = narrow(block.taps.count * block.columns.count);
                e.push(Instr::VMaxabs(VMaxabs { dst: MAXIMUM, src, src_format, count }));
                resident = block.only;
                if !resident {
                    let region = Region3 {
                        rows: Extent::run(block.taps.first, block.taps.count, taps),
                        cols: Extent::full(1),
                        channels: Extent::run(block.columns.first, block.columns.count, product.columns),
                    };
                    BoxMove { tensor: map.gradient, scratch: src, region }.store(e, Tile::once(0, 1));
                }
            });
            e.one_bank();
            resident
        };
        let fastest = self.fastest(
            product.candidates(&self.cost()),
            || product.no_tile(),
            |e, tiling| {
                e.accumulators(GRADIENT, rule, self.stationary(Array::Gradient));
                emit(e, tiling);
            },
        )?;
        let bytes = product.tile_bytes(&fastest.tiling).unwrap_or_default();
        self.chosen(e, &fastest, Phase::Gradient, i, bytes);
        e.push(Instr::XSet(XSet { dst: MAXIMUM, value: 0 }));
        Ok(emit(e, fastest.tiling))
    }

    /// Stochastic step and update (ARITHMETIC: gradient and update 2 to 5).
    fn update(&self, e: &mut Emitter, i: usize, resident: bool) -> Result<(), CompileError> {
        e.mark(Phase::Update, u32::try_from(i).ok());
        let (layer, map) = (&self.network.layers[i], &self.layout.layers[i]);
        let (stored, step, gradient) = (map.weight.format, self.formats.step, map.gradient.format);
        let held = if resident { 0 } else { u64::from(gradient.bits()) };
        let needs = [(Memory::Operand, u64::from(stored.bits() + step.bits())), (Memory::Accumulator, held)];
        let total = layer.weights();
        let size = self.flat_tile(total, &needs).ok_or(CompileError::NoTile {
            layer: i,
            phase: "update",
            what: "64 weights".into(),
        })?;
        e.push(Instr::XExponent(XExponent { dst: MAXIMUM, a: MAXIMUM }));
        e.push(Instr::XSub(XSub { dst: STEP_SHIFT, a: MAXIMUM, b: LEARNING_RATE }));
        let first_number: u64 = self.network.layers[..i].iter().map(crate::network::Layer::weights).sum();
        let limit = layer.stored_weight_limit();
        let second = stored.bytes(size).next_multiple_of(8);
        let waiting = if resident { u64::MAX } else { gradient.bytes(size) };
        self.banks(e, [second + step.bytes(size), 0, waiting, 0]);
        e.tiles(0, total, size, &mut |e, tile| {
            let (weights, steps) = (e.at(Memory::Operand, 0), e.at(Memory::Operand, second));
            let count = narrow(tile.count);
            let values = self.gradient_values(e, i, tile, resident);
            units(map.weight, weights, 1).load(e, tile);
            let number_base = e.unit_register(tile);
            for (what, name, class) in
                [(Yield::Output, "delta", Class::G), (Yield::Random, "random", Class::None)]
            {
                e.probe(what, flat(&format!("layer.{i}.{name}"), weight_shape(layer), tile, class), tile);
            }
            e.push(Instr::VStochastic(VStochastic {
                dst: steps,
                dst_format: step,
                src: values,
                src_format: gradient,
                scale: STEP_SHIFT,
                number_base,
                number: first_number + tile.first,
                random_bits: self.network.bits.r,
                count,
            }));
            let name = format!("layer.{i}.weight_next");
            e.push_probed(
                Instr::VSub(VSub {
                    dst: weights,
                    a: weights,
                    format: stored,
                    b: steps,
                    b_format: step,
                    limit,
                    count,
                }),
                Yield::Output,
                flat(&name, weight_shape(layer), tile, Class::None),
                tile,
            );
            units(map.weight, weights, 1).store(e, tile);
            e.turn(&[Memory::Operand, Memory::Accumulator]);
        });
        e.one_bank();
        Ok(())
    }

    /// Where a tile of gradients stands: in the accumulator memory already, or loaded to its beginning.
    fn gradient_values(&self, e: &mut Emitter, i: usize, tile: Tile, resident: bool) -> Address {
        let tensor = self.layout.layers[i].gradient;
        if resident {
            let place = super::layout::Stored { address: 0, ..tensor };
            let dram = e.dram(&place, tile, tensor.format.bits().into(), 0);
            return Address { memory: Memory::Accumulator, ..dram };
        }
        let values = e.at(Memory::Accumulator, 0);
        units(tensor, values, 1).load(e, tile);
        values
    }
}
