//! Errors of hidden layers: the transposed product, the clip mask, the batch's maximum, `Q_E`, the ReLU mask,
//! and the way back through the pool.

use super::emit::{Emitter, Tile};
use super::forward::{aligned, boxed, image_shape, input_region, output_region};
use super::layout::{map_shape, output_shape, place_format};
use super::moves::{BoxMove, Extent, Region3};
use super::taps::{Done, Needs, Rows, TapsProduct, TapsTiling, Weights, narrow, runs};
use super::window::{Run, Window};
use super::{CompileError, ERROR, Lowering, MAXIMUM};
use crate::isa::{Instr, Memory, VMask, VMaxabs, VUnpool, XExponent, XSet};
use crate::network::Layer;
use crate::program::{Class, Phase, Yield};
use crate::spec::Phase as Array;

/// States kept by the clip mask (inactive, active) and by the ReLU mask (active, clipped).
const NOT_CLIPPED: u32 = 0b011;
const NOT_INACTIVE: u32 = 0b110;

/// A tile of the second pass: images, and rows and channels of activations of each.
#[derive(Debug, Clone, Copy)]
struct Routing {
    images: u64,
    units: u64,
    channels: u64,
}

impl Lowering<'_> {
    /// The error of layer `i`'s activations, from the error of layer `i + 1`, whose weights it takes: the work is
    /// layer `i + 1`'s.
    pub(super) fn error(&self, e: &mut Emitter, i: usize) -> Result<(), CompileError> {
        e.mark(Phase::Error, u32::try_from(i + 1).ok());
        let (layer, above) = (&self.network.layers[i], &self.network.layers[i + 1]);
        let (map, map_above) = (&self.layout.layers[i], &self.layout.layers[i + 1]);
        let out = self.formats.error[i + 1];
        let rule = self.machine.accumulators.rule_of(Array::Error, i + 1);
        e.accumulators(ERROR, rule, self.stationary(Array::Error));
        let [rows, cols, _] = super::layout::input_shape(above);
        let needs = |images: u64, units: Run, columns: Run| {
            let region = input_region(above, units, columns);
            let elements = images * region.elements();
            if ![map.state, map.waiting].iter().all(|s| aligned(&region, images, self.batch, s.format)) {
                return None;
            }
            let states = map.state.format.bytes(elements);
            let cost = self.cost();
            let work = cost.bytes(states + out.bytes(elements), 2) + cost.vector(elements, 2);
            Some(Needs { operand: 0, accumulator: 0, mask: states, work })
        };
        let probe = format!("layer.{i}.error_acc");
        let product = TapsProduct {
            layer: i,
            phase: "error",
            window: Window::error(above),
            weights: Weights::Flipped,
            columns: above.input.channels.into(),
            batch: self.batch,
            left: map_above.error,
            right: map_above.weight_q,
            out,
            rule,
            order: self.machine.accumulators.order,
            weight_stationary: self.stationary(Array::Error),
            mode: ERROR,
            rows: Rows { units: rows, step: 1, window: 1 },
            split_columns: true,
            needs: &needs,
            probe: &probe,
            probe_shape: image_shape(self.batch, output_shape(layer)),
            class: Class::ErrorAccumulator,
        };
        debug_assert_eq!(rows * cols * product.columns, layer.output.elements());
        let emit = |e: &mut Emitter, tiling: TapsTiling| {
            let mut resident = false;
            self.banks(e, product.tile_bytes(&tiling).unwrap_or_default());
            product.emit(e, &tiling, &mut |e, done| {
                resident = done.only && self.routing(i, true).is_some();
                self.clip_mask(e, i, done, resident);
            });
            e.one_bank();
            resident
        };
        let fastest = self.fastest(
            product.candidates(&self.cost()),
            || product.no_tile(),
            |e, tiling| {
                e.accumulators(ERROR, rule, self.stationary(Array::Error));
                emit(e, tiling);
            },
        )?;
        let bytes = product.tile_bytes(&fastest.tiling).unwrap_or_default();
        self.chosen(e, &fastest, Phase::Error, i + 1, bytes);
        e.push(Instr::XSet(XSet { dst: MAXIMUM, value: 0 }));
        let resident = emit(e, fastest.tiling);
        e.push(Instr::XExponent(XExponent { dst: MAXIMUM, a: MAXIMUM }));
        let routing = self.routing(i, resident).ok_or_else(|| CompileError::NoTile {
            layer: i,
            phase: "error",
            what: "one row of activations".into(),
        })?;
        if !resident {
            self.banks(e, self.routing_bytes(i, &routing));
        }
        for units in runs(layer.output.height.into(), routing.units) {
            for channels in runs(layer.channels.into(), routing.channels) {
                e.tiles(0, self.batch, routing.images, &mut |e, tile| {
                    self.route(e, i, tile, [units, channels], resident);
                    e.turn(&[Memory::Operand, Memory::Accumulator, Memory::Mask]);
                });
            }
        }
        e.one_bank();
        Ok(())
    }

    /// Clip mask and maximum of one tile; stored unless it stays.
    fn clip_mask(&self, e: &mut Emitter, i: usize, done: &Done, resident: bool) {
        let map = &self.layout.layers[i];
        let above = &self.network.layers[i + 1];
        let region = input_region(above, done.units, done.columns);
        let count = narrow(done.tile.count * region.elements());
        let (values, states, format) =
            (e.at(Memory::Accumulator, 0), e.at(Memory::Mask, 0), map.waiting.format);
        BoxMove { tensor: map.state, scratch: states, region }.load(e, done.tile);
        e.push(Instr::VMask(VMask { dst: values, src: values, format, states, keep: NOT_CLIPPED, count }));
        e.push(Instr::VMaxabs(VMaxabs { dst: MAXIMUM, src: values, src_format: format, count }));
        if !resident {
            BoxMove { tensor: map.waiting, scratch: values, region }.store(e, done.tile);
        }
    }

    /// Rows of the map that rows of activations come from: the last ones with what no window fills.
    fn routed_rows(layer: &Layer, units: Run) -> Run {
        let step = layer.pool.map_or(1, |p| u64::from(p.step));
        let first = units.first * step;
        let end = if units.end() == u64::from(layer.output.height) {
            layer.out_h.into()
        } else {
            units.end() * step
        };
        Run::new(first, end - first)
    }

    /// Bytes of a tile of the second pass in each scratchpad.
    fn routing_bytes(&self, i: usize, r: &Routing) -> [u64; 4] {
        let (layer, waiting) = (&self.network.layers[i], self.layout.layers[i].waiting.format);
        let whole = u64::from(layer.output.height);
        let channels = Run::new(0, r.channels);
        let elements = r.images * output_region(layer, Run::new(0, r.units), channels).elements();
        let most = r.units.min(whole);
        let [first, last] =
            [Run::new(0, most), Run::new(whole - most, most)].map(|u| Self::routed_rows(layer, u).count);
        let mapped = r.images * first.max(last) * u64::from(layer.out_w) * r.channels;
        let code = self.formats.error_code;
        let routed = if layer.pool.is_some() { code.bytes(mapped) } else { 0 };
        let states = (2 * elements).div_ceil(8).next_multiple_of(8);
        let places = if layer.pool.is_some() { place_format(layer).bytes(elements) } else { 0 };
        [code.bytes(elements).next_multiple_of(8) + routed, 0, waiting.bytes(elements), states + places]
    }

    /// The tile of the second pass: one that can take turns where there is one.
    fn routing(&self, i: usize, resident: bool) -> Option<Routing> {
        let layer = &self.network.layers[i];
        let whole = u64::from(layer.output.height);
        let aligned_at = |r: &Routing| {
            let region = output_region(layer, Run::new(0, r.units), Run::new(0, r.channels));
            [2, place_format(layer).bits()].iter().all(|&bits| {
                let format = crate::isa::Format::new(bits).expect("a small width");
                aligned(&region, r.images, self.batch, format)
            })
        };
        let cost = self.cost();
        let in_places = |r: &Routing, places: u64| {
            let bytes = self.routing_bytes(i, r);
            let fits = |m: Memory| match places {
                1 => bytes[m.index()] <= cost.capacity(m),
                _ => cost.twice(m, bytes[m.index()]),
            };
            Memory::SCRATCHPADS.into_iter().all(fits) && aligned_at(r)
        };
        let channels = u64::from(layer.channels);
        if resident {
            return Some(Routing { images: self.batch, units: whole, channels }).filter(|r| in_places(r, 1));
        }
        let overlapping = layer.pool.is_some_and(|p| p.window > p.step);
        let mut choices: Vec<Routing> = super::cost::image_tiles(self.batch)
            .into_iter()
            .map(|images| Routing { images, units: whole, channels })
            .collect();
        // What overlapping windows route to one place is summed before it is clipped: they are not taken apart.
        if !overlapping {
            let rows = super::cost::halvings(whole, 1).into_iter().filter(|&u| u < whole);
            choices.extend(rows.map(|units| Routing { images: 1, units, channels }));
        }
        let fewer = super::cost::halvings(channels, 4).into_iter().filter(|&c| c < channels);
        choices.extend(fewer.map(|channels| Routing {
            images: 1,
            units: if overlapping { whole } else { 1 },
            channels,
        }));
        let first = |places| choices.iter().copied().find(|r| in_places(r, places));
        first(2).or_else(|| first(1))
    }

    /// `Q_E`, ReLU mask and pool of one tile.
    fn route(&self, e: &mut Emitter, i: usize, tile: Tile, [units, channels]: [Run; 2], resident: bool) {
        let (layer, map) = (&self.network.layers[i], &self.layout.layers[i]);
        let region = output_region(layer, units, channels);
        let elements = tile.count * region.elements();
        let count = narrow(elements);
        let format = self.formats.error_code;
        let (values, states) = (e.at(Memory::Accumulator, 0), e.at(Memory::Mask, 0));
        let codes = e.at(Memory::Operand, 0);
        if !resident {
            BoxMove { tensor: map.waiting, scratch: values, region }.load(e, tile);
        }
        let name = format!("layer.{i}.error");
        e.push_probed(
            self.quantise_error(codes, values, map.waiting.format, count),
            Yield::Output,
            boxed(&name, self.batch, output_shape(layer), &region, tile, Class::E),
            tile,
        );
        if layer.relu {
            BoxMove { tensor: map.state, scratch: states, region }.load(e, tile);
            e.push(Instr::VMask(VMask { dst: codes, src: codes, format, states, keep: NOT_INACTIVE, count }));
        }
        let rows = Self::routed_rows(layer, units);
        let [height, width, whole] = map_shape(layer);
        let mapped = Region3 {
            rows: Extent::run(rows.first, rows.count, height),
            cols: Extent::full(width),
            channels: Extent::run(channels.first, channels.count, whole),
        };
        let mut routed = codes;
        if let Some(pool) = layer.pool {
            let place = e.at(Memory::Mask, (2 * elements).div_ceil(8).next_multiple_of(8));
            BoxMove { tensor: map.place, scratch: place, region }.load(e, tile);
            routed = e.at(Memory::Operand, format.bytes(elements).next_multiple_of(8));
            e.push(Instr::VUnpool(VUnpool {
                dst: routed,
                src: codes,
                format,
                place,
                place_format: place_format(layer),
                images: narrow(tile.count),
                in_rows: narrow(units.count),
                in_cols: layer.output.width,
                channels: narrow(channels.count),
                height: narrow(rows.count),
                width: layer.out_w,
                window: pool.window,
                step: pool.step,
                bits: self.network.bits.e,
            }));
        }
        BoxMove { tensor: map.error, scratch: routed, region: mapped }.store(e, tile);
    }
}
