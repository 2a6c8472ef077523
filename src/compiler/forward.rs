//! Forward: weights as used, input codes, products, pooling, ReLU, states, codes; the loss and the score.

use super::choice::Fastest;
use super::emit::{Emitter, Place, Tile};
use super::layout::{self, Stored, input_shape, loss_shift, output_shape, place_format, weight_shape};
use super::moves::{BoxMove, Extent, Region3};
use super::taps::{Done, Needs, Rows, TapsProduct, TapsTiling, Weights, narrow};
use super::window::{Run, Window};
use super::{CompileError, FIRST, FORWARD, LOSS, Lowering, MAXIMUM, TIES};
use crate::isa::{
    Address, Format, Instr, Memory, VArgmax, VLookup, VMask, VMaxabs, VOnehot, VPool, VRelu, VShift, VState,
    VSumsq, XExponent, XSet,
};
use crate::network::Layer;
use crate::network::Loss;
use crate::number::Rounding;
use crate::program::{Class, Phase, Yield};
use crate::spec::Phase as Array;

/// A scratchpad place.
pub(super) fn at(memory: Memory, offset: u64) -> Address {
    Address::at(memory, offset)
}

fn small(n: u32) -> i32 {
    i32::try_from(n).expect("widths are small")
}

/// The shift of forward step 5.
fn requantising_shift(layer: &Layer) -> i32 {
    small(layer.input_bits + layer.bits.w + layer.scale_log2) - 1 - small(layer.bits.a)
}

/// Pointwise boxes: `count` units of a tensor whose unit is `elements`, all of each unit.
pub(super) fn units(tensor: Stored, scratch: Address, elements: u64) -> BoxMove {
    BoxMove { tensor, scratch, region: Region3::full([1, 1, elements]) }
}

impl Lowering<'_> {
    /// The greatest tile of single elements, a multiple of 64 bounded by `per_element` bits of each scratchpad.
    pub(super) fn flat_tile(&self, total: u64, bits: &[(Memory, u64)]) -> Option<u64> {
        let fits = |parts: u64| {
            let of = |&(m, b): &(Memory, u64)| {
                (self.cost().capacity(m) / parts * 8).saturating_sub(256) / b.max(1)
            };
            bits.iter().map(of).min().unwrap_or(total) / 64 * 64
        };
        // Two places for tiles that take turns, where two have room.
        let most = if fits(2) > 0 { fits(2) } else { fits(1) };
        (most > 0).then(|| most.min(total))
    }

    /// Tiles of so many bytes take turns in the scratchpads that hold two.
    pub(super) fn banks(&self, e: &mut Emitter, bytes: [u64; 4]) {
        for (memory, need) in Memory::SCRATCHPADS.into_iter().zip(bytes) {
            e.bank(memory, 0, self.cost().capacity(memory), need);
        }
    }

    /// Notes what was chosen.
    pub(super) fn chosen<T: std::fmt::Display + Copy>(
        &self,
        e: &mut Emitter,
        fastest: &Fastest<T>,
        phase: Phase,
        layer: usize,
        bytes: [u64; 4],
    ) {
        let twice = std::array::from_fn(|m| self.cost().twice(Memory::SCRATCHPADS[m], bytes[m]));
        let entry = if e.observed { "train" } else { "evaluate" };
        e.choices.push(fastest.choice(entry, phase, layer, bytes, twice));
    }

    fn no_tile(&self, layer: usize, phase: &'static str) -> CompileError {
        CompileError::NoTile { layer, phase, what: "64 elements".into() }
    }

    /// Weights as used: `t = clip(rsh(w, k_G - k_W), k_W)`.
    pub(super) fn quantise(&self, e: &mut Emitter) -> Result<(), CompileError> {
        for (i, layer) in self.network.layers.iter().enumerate() {
            e.mark(Phase::Quantise, u32::try_from(i).ok());
            let map = &self.layout.layers[i];
            let (stored, used) = (map.weight.format, map.weight_q.format);
            let needs = [(Memory::Operand, u64::from(stored.bits() + used.bits()))];
            let size = self.flat_tile(layer.weights(), &needs).ok_or_else(|| self.no_tile(i, "quantise"))?;
            let second = stored.bytes(size).next_multiple_of(8);
            self.banks(e, [second + used.bytes(size), 0, 0, 0]);
            e.tiles(0, layer.weights(), size, &mut |e, tile| {
                let (from, to) = (e.at(Memory::Operand, 0), e.at(Memory::Operand, second));
                units(map.weight, from, 1).load(e, tile);
                for (what, name, class) in
                    [(Yield::Source, "weight", Class::StoredWeight), (Yield::Output, "weight_q", Class::W)]
                {
                    let name = format!("layer.{i}.{name}");
                    e.probe(what, flat(&name, weight_shape(layer), tile, class), tile);
                }
                e.push(Instr::VShift(VShift {
                    dst: to,
                    dst_format: used,
                    src: from,
                    src_format: stored,
                    shift: small(layer.bits.g) - small(layer.bits.w),
                    scale: crate::isa::Scale(0),
                    bits: layer.bits.w,
                    rounding: Rounding::Even,
                    count: narrow(tile.count),
                }));
                units(map.weight_q, to, 1).store(e, tile);
                e.turn(&[Memory::Operand]);
            });
            e.one_bank();
        }
        Ok(())
    }

    /// Input bytes to codes, then every layer.
    pub(super) fn forward(&self, e: &mut Emitter, keep: bool) -> Result<(), CompileError> {
        self.input_codes(e)?;
        for i in 0..self.network.layers.len() {
            self.forward_layer(e, i, keep)?;
        }
        Ok(())
    }

    fn input_codes(&self, e: &mut Emitter) -> Result<(), CompileError> {
        e.mark(Phase::Forward, Some(0));
        let layer = &self.network.layers[0];
        let codes = self.layout.layers[0].input;
        let image = self.network.input;
        let shape = vec![self.batch, image.height.into(), image.width.into(), image.channels.into()];
        let total = self.batch * image.elements();
        let table = at(Memory::Operand, 0);
        let table_bytes = codes.format.bytes(256);
        let free = self.cost().capacity(Memory::Operand).saturating_sub(table_bytes);
        let most = |bytes: u64| bytes.saturating_sub(64) * 8 / u64::from(8 + codes.format.bits()) / 64 * 64;
        let size = if most(free / 2) > 0 { most(free / 2) } else { most(free) }.min(total);
        if size == 0 {
            return Err(self.no_tile(0, "forward"));
        }
        units(self.layout.table, table, 1).load(e, Tile::once(0, 256));
        let second = size.next_multiple_of(8);
        e.bank(Memory::Operand, table_bytes, free, second + codes.format.bytes(size));
        debug_assert_eq!(layer.input_bits, self.network.bits.a);
        e.tiles(0, total, size, &mut |e, tile| {
            let (bytes, to) = (e.at(Memory::Operand, 0), e.at(Memory::Operand, second));
            units(self.layout.input, bytes, 1).load(e, tile);
            e.push_probed(
                Instr::VLookup(VLookup {
                    dst: to,
                    dst_format: codes.format,
                    src: bytes,
                    table,
                    count: narrow(tile.count),
                }),
                Yield::Output,
                flat("input", shape.clone(), tile, Class::None),
                tile,
            );
            units(codes, to, 1).store(e, tile);
            e.turn(&[Memory::Operand]);
        });
        e.one_bank();
        Ok(())
    }

    fn forward_layer(&self, e: &mut Emitter, i: usize, keep: bool) -> Result<(), CompileError> {
        let layer = &self.network.layers[i];
        let map = &self.layout.layers[i];
        e.mark(Phase::Forward, u32::try_from(i).ok());
        let columns = u64::from(layer.channels);
        let width = u64::from(layer.output.width);
        let out = self.formats.forward[i];
        let rule = self.machine.accumulators.rule_of(Array::Forward, i);
        e.accumulators(FORWARD, rule, self.stationary(Array::Forward));
        let next = self.layout.layers.get(i + 1).map(|m| m.input);
        let needs = |images: u64, units: Run, columns_run: Run| {
            let elements = images * units.count * width * columns_run.count;
            let region = output_region(layer, units, columns_run);
            let streams = [next.map_or(map.waiting, |n| n), map.state, map.place];
            if !streams.iter().all(|s| aligned(&region, images, self.batch, s.format)) {
                return None;
            }
            let pooled = if layer.pool.is_some() { out.bytes(elements).next_multiple_of(8) } else { 0 };
            let codes = next.map_or(0, |n| n.format.bytes(elements).next_multiple_of(8));
            let states = map.state.format.bytes(elements).next_multiple_of(8);
            let places = if layer.pool.is_some() { map.place.format.bytes(elements) } else { 0 };
            let cost = self.cost();
            let pools = layer.pool.map_or(0, |p| u64::from(p.window * p.window));
            let vector = cost.vector(elements, 3 + pools);
            let work = cost.bytes(codes + states + places, 2) + vector;
            Some(Needs { operand: codes, accumulator: pooled, mask: states + places, work })
        };
        let probe = format!("layer.{i}.acc");
        let product = TapsProduct {
            layer: i,
            phase: "forward",
            window: Window::forward(layer),
            weights: Weights::Forward,
            columns,
            batch: self.batch,
            left: map.input,
            right: map.weight_q,
            out,
            rule,
            order: self.machine.accumulators.order,
            weight_stationary: self.stationary(Array::Forward),
            mode: FORWARD,
            rows: layer.pool.map_or(Rows { units: layer.out_h.into(), step: 1, window: 1 }, |p| Rows {
                units: layer.output.height.into(),
                step: p.step.into(),
                window: p.window.into(),
            }),
            split_columns: !layer.last,
            needs: &needs,
            probe: &probe,
            probe_shape: image_shape(self.batch, layout::map_shape(layer)),
            class: Class::ForwardAccumulator,
        };
        let emit = |e: &mut Emitter, tiling: TapsTiling| {
            self.banks(e, product.tile_bytes(&tiling).unwrap_or_default());
            product.emit(e, &tiling, &mut |e, done| {
                if layer.last {
                    let region = output_region(layer, done.units, done.columns);
                    let scratch = e.at(Memory::Accumulator, 0);
                    BoxMove { tensor: map.waiting, scratch, region }.store(e, done.tile);
                } else {
                    self.activate(e, i, done, keep);
                }
            });
            e.one_bank();
        };
        let fastest = self.fastest(
            product.candidates(&self.cost()),
            || product.no_tile(),
            |e, tiling| {
                e.accumulators(FORWARD, rule, self.stationary(Array::Forward));
                emit(e, tiling);
            },
        )?;
        let bytes = product.tile_bytes(&fastest.tiling).unwrap_or_default();
        self.chosen(e, &fastest, Phase::Forward, i, bytes);
        emit(e, fastest.tiling);
        Ok(())
    }

    /// Steps 3 to 5 on one tile of accumulators.
    fn activate(&self, e: &mut Emitter, i: usize, done: &Done, keep: bool) {
        let layer = &self.network.layers[i];
        let map = &self.layout.layers[i];
        let out = self.formats.forward[i];
        let region = output_region(layer, done.units, done.columns);
        let elements = done.tile.count * region.elements();
        let count = narrow(elements);
        let state = e.at(Memory::Mask, 0);
        let place = e.at(Memory::Mask, map.state.format.bytes(elements).next_multiple_of(8));
        let mut values = e.at(Memory::Accumulator, 0);
        if let Some(pool) = layer.pool {
            let pooled = e.at(Memory::Accumulator, done.free[1]);
            e.push(Instr::VPool(VPool {
                dst: pooled,
                src: values,
                format: out,
                place,
                place_format: place_format(layer),
                images: narrow(done.tile.count),
                out_rows: narrow(done.units.count),
                out_cols: layer.output.width,
                channels: narrow(done.columns.count),
                window: pool.window,
                step: pool.step,
                row_stride: narrow(u64::from(layer.out_w) * done.columns.count),
                image_stride: narrow(done.rows.count * u64::from(layer.out_w) * done.columns.count),
            }));
            values = pooled;
            if keep {
                BoxMove { tensor: map.place, scratch: place, region }.store(e, done.tile);
            }
        }
        if layer.relu {
            e.push(Instr::VRelu(VRelu { dst: values, src: values, format: out, count }));
        }
        let shift = requantising_shift(layer);
        if keep {
            e.push(Instr::VState(VState {
                dst: state,
                src: values,
                src_format: out,
                bits: layer.bits.a,
                shift,
                count,
            }));
            BoxMove { tensor: map.state, scratch: state, region }.store(e, done.tile);
        }
        let next = self.layout.layers[i + 1].input;
        let codes = e.at(Memory::Operand, done.free[0]);
        let name = format!("layer.{i}.activation");
        let place = boxed(&name, self.batch, output_shape(layer), &region, done.tile, Class::A);
        e.push_probed(
            Instr::VShift(VShift {
                dst: codes,
                dst_format: next.format,
                src: values,
                src_format: out,
                shift,
                scale: crate::isa::Scale(0),
                bits: layer.bits.a,
                rounding: self.machine.vector.forward_rounding,
                count,
            }),
            Yield::Output,
            place,
            done.tile,
        );
        BoxMove { tensor: next, scratch: codes, region }.store(e, done.tile);
    }

    /// Loads a tile of the last layer's outputs and labels; the values compared and their format.
    fn outputs(&self, e: &mut Emitter, tile: Tile, sizes: &OutputTile) -> (Address, Format) {
        let layer = self.network.layers.last().expect("a network has layers");
        let map = self.layout.layers.last().expect("a network has layers");
        let outputs = at(Memory::Accumulator, 0);
        units(map.waiting, outputs, layer.channels.into()).load(e, tile);
        units(self.layout.label, at(Memory::Operand, 0), 1).load(e, tile);
        if !self.network.quantise_output {
            return (outputs, self.output_format());
        }
        let codes = at(Memory::Operand, sizes.codes);
        let format = layout::code_format(layer.bits.a);
        let count = narrow(tile.count * u64::from(layer.channels));
        let shift = requantising_shift(layer);
        let src_format = self.output_format();
        let bits = layer.bits.a;
        e.push(Instr::VState(VState {
            dst: at(Memory::Mask, 0),
            src: outputs,
            src_format,
            bits,
            shift,
            count,
        }));
        let rounding = self.machine.vector.forward_rounding;
        let scale = crate::isa::Scale(0);
        e.push(Instr::VShift(VShift {
            dst: codes,
            dst_format: format,
            src: outputs,
            src_format,
            shift,
            scale,
            bits,
            rounding,
            count,
        }));
        (codes, format)
    }

    /// The format of the last layer's accumulators.
    fn output_format(&self) -> Format {
        *self.formats.forward.last().expect("a network has layers")
    }

    fn output_tile(&self) -> Result<OutputTile, CompileError> {
        let layer = self.network.layers.last().expect("a network has layers");
        let classes = u64::from(layer.channels);
        let cost = self.cost();
        let code = layout::code_format(layer.bits.a);
        let plan = |images: u64| {
            let n = images * classes;
            let labels = (2 * images).next_multiple_of(8);
            let predictions = labels + labels;
            let codes = predictions + code.bytes(n).next_multiple_of(8);
            let differences = self.output_format().bytes(n).next_multiple_of(8);
            let softmax = codes + layout::error_format(layer).bytes(n).next_multiple_of(8);
            let sizes = OutputTile {
                images,
                softmax,
                prediction: labels,
                codes: predictions,
                error: codes,
                difference: differences,
            };
            let shares = match self.network.loss {
                Loss::Sse => 0,
                Loss::Softmax => super::softmax::bytes(images),
            };
            let fits = softmax + shares <= cost.capacity(Memory::Operand)
                && differences + self.formats.difference.bytes(n) <= cost.capacity(Memory::Accumulator)
                && (2 * n).div_ceil(8) <= cost.capacity(Memory::Mask)
                && (images == self.batch || (n * 2).is_multiple_of(8));
            fits.then_some(sizes)
        };
        super::cost::image_tiles(self.batch)
            .into_iter()
            .find_map(plan)
            .ok_or_else(|| self.no_tile(self.network.layers.len() - 1, "loss"))
    }

    fn argmax(&self, e: &mut Emitter, tile: Tile, sizes: &OutputTile, src: Address, src_format: Format) {
        let dst = at(Memory::Operand, sizes.prediction);
        e.push(Instr::VArgmax(VArgmax {
            dst,
            src,
            src_format,
            labels: at(Memory::Operand, 0),
            rows: narrow(tile.count),
            columns: self.network.classes,
            first: FIRST,
            ties: TIES,
        }));
        units(self.layout.prediction, dst, 1).store(e, tile);
    }

    /// Counts right answers; no loss.
    pub(super) fn score(&self, e: &mut Emitter) {
        e.mark(Phase::Loss, None);
        let Ok(sizes) = self.output_tile() else { return };
        e.tiles(0, self.batch, sizes.images, &mut |e, tile| {
            let (values, format) = self.outputs(e, tile, &sizes);
            self.argmax(e, tile, &sizes, values, format);
        });
    }

    /// The loss and the last layer's error (ARITHMETIC: loss and error 1 and 3).
    pub(super) fn loss(&self, e: &mut Emitter) -> Result<(), CompileError> {
        let index = self.network.layers.len() - 1;
        e.mark(Phase::Loss, u32::try_from(index).ok());
        let (layer, map) = (&self.network.layers[index], &self.layout.layers[index]);
        let classes = u64::from(layer.channels);
        let sizes = self.output_tile()?;
        let resident = sizes.images == self.batch;
        let difference = at(Memory::Accumulator, sizes.difference);
        let format = self.formats.difference;
        e.push(Instr::XSet(XSet { dst: MAXIMUM, value: 0 }));
        let scratch = at(Memory::Operand, sizes.softmax);
        self.load_powers(e, scratch);
        e.tiles(0, self.batch, sizes.images, &mut |e, tile| {
            let count = narrow(tile.count * classes);
            let (mut values, mut value_format) = self.outputs(e, tile, &sizes);
            self.argmax(e, tile, &sizes, values, value_format);
            if self.network.loss == Loss::Softmax {
                self.shares(e, tile, [difference, values, scratch], value_format);
                (values, value_format) = (difference, format);
            }
            e.push_probed(
                Instr::VOnehot(VOnehot {
                    dst: difference,
                    dst_format: format,
                    src: values,
                    src_format: value_format,
                    labels: at(Memory::Operand, 0),
                    rows: narrow(tile.count),
                    columns: narrow(classes),
                    shift: loss_shift(self.network),
                }),
                Yield::Labels,
                flat("label", vec![self.batch], tile, Class::None),
                tile,
            );
            e.push(Instr::VSumsq(VSumsq { dst: LOSS, src: difference, src_format: format, count }));
            e.push(Instr::VMaxabs(VMaxabs { dst: MAXIMUM, src: difference, src_format: format, count }));
            if !resident {
                units(map.difference, difference, classes).store(e, tile);
            }
        });
        e.push(Instr::XExponent(XExponent { dst: MAXIMUM, a: MAXIMUM }));
        e.tiles(0, self.batch, sizes.images, &mut |e, tile| {
            let count = narrow(tile.count * classes);
            if !resident {
                if self.network.quantise_output {
                    self.outputs(e, tile, &sizes);
                }
                units(map.difference, difference, classes).load(e, tile);
            }
            let codes = at(Memory::Operand, sizes.error);
            let name = format!("layer.{index}.error");
            let region = Region3::full(output_shape(layer));
            e.push_probed(
                self.quantise_error(layer, codes, difference, format, count),
                Yield::Output,
                boxed(&name, self.batch, output_shape(layer), &region, tile, Class::E),
                tile,
            );
            if self.network.quantise_output {
                let format = layout::error_format(layer);
                let states = at(Memory::Mask, 0);
                e.push(Instr::VMask(VMask { dst: codes, src: codes, format, states, keep: 0b011, count }));
            }
            units(map.error, codes, classes).store(e, tile);
        });
        Ok(())
    }

    /// `Q_E` (ARITHMETIC: loss and error 3).
    pub(super) fn quantise_error(
        &self,
        layer: &Layer,
        dst: Address,
        src: Address,
        src_format: Format,
        count: u32,
    ) -> Instr {
        Instr::VShift(VShift {
            dst,
            dst_format: layout::error_format(layer),
            src,
            src_format,
            shift: 1 - small(layer.bits.e),
            scale: MAXIMUM,
            bits: layer.bits.e,
            rounding: self.machine.vector.error_rounding,
            count,
        })
    }
}

/// Where a tile of outputs lies: bytes of the operand memory, and of the accumulator memory for differences.
struct OutputTile {
    images: u64,
    softmax: u64,
    prediction: u64,
    codes: u64,
    error: u64,
    difference: u64,
}

/// The part of a layer's activations a tile yields.
pub(super) fn output_region(layer: &Layer, units: Run, columns: Run) -> Region3 {
    let [rows, cols, channels] = output_shape(layer);
    Region3 {
        rows: Extent::run(units.first, units.count, rows),
        cols: Extent::full(cols),
        channels: Extent::run(columns.first, columns.count, channels),
    }
}

/// Whether tiles of so many images, each such a box, begin and end at whole bytes.
pub(super) fn aligned(region: &Region3, images: u64, batch: u64, format: Format) -> bool {
    let bits = u64::from(format.bits());
    region.aligned(bits) && (images == batch || (images * region.image() * bits).is_multiple_of(8))
}

/// A probe's place for a flat run of single elements.
pub(super) fn flat(tensor: &str, shape: Vec<u64>, tile: Tile, class: Class) -> Place<'_> {
    Place {
        tensor,
        shape,
        origin: tile.first,
        per_unit: 1,
        extents: vec![tile.count],
        strides: vec![1],
        class,
    }
}

/// `[batch, rows, columns, channels]`, or `[batch, channels]` for what dense layers yield.
pub(super) fn image_shape(batch: u64, [rows, cols, channels]: [u64; 3]) -> Vec<u64> {
    if rows * cols == 1 { vec![batch, channels] } else { vec![batch, rows, cols, channels] }
}

/// A probe's place for a box of each image of a `[batch, …]` tensor.
pub(super) fn boxed<'a>(
    tensor: &'a str,
    batch: u64,
    [rows, cols, channels]: [u64; 3],
    region: &Region3,
    tile: Tile,
    class: Class,
) -> Place<'a> {
    Place {
        tensor,
        shape: image_shape(batch, [rows, cols, channels]),
        origin: tile.first * region.image() + region.origin(),
        per_unit: region.image(),
        extents: vec![tile.count, region.rows.count, region.cols.count, region.channels.count],
        strides: vec![region.image(), cols * channels, channels, 1],
        class,
    }
}

/// The input of a layer, of one image.
pub(super) fn input_region(layer: &Layer, rows: Run, columns: Run) -> Region3 {
    let [height, width, channels] = input_shape(layer);
    Region3 {
        rows: Extent::run(rows.first, rows.count, height),
        cols: Extent::full(width),
        channels: Extent::run(columns.first, columns.count, channels),
    }
}
