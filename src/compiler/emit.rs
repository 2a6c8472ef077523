//! The emitter: instructions, marks and probes in order, and loops over units with their address registers.
//!
//! Knows instructions and the memory map; nothing of layers or tiling.

use std::collections::BTreeMap;

use super::layout::Stored;
use crate::isa::{Addi, Address, Instr, Loop, Memory, Mode, ModeIndex, Scalar, Set};
use crate::number::AccumulatorRule;
use crate::program::{Class, Mark, Phase, Probe, Yield};

/// Code under construction.
#[derive(Debug, Default)]
pub(super) struct Emitter {
    pub(super) code: Vec<Instr>,
    pub(super) marks: Vec<Mark>,
    pub(super) probes: Vec<Probe>,
    /// Whether instructions are given names: training is observed, evaluation is not.
    pub(super) observed: bool,
    /// What the mode registers hold.
    modes: BTreeMap<ModeIndex, Mode>,
    /// Registers of the loop being emitted: bits a unit advances → register.
    registers: Option<BTreeMap<u64, Scalar>>,
}

/// One tile of a loop over units: where it begins and how many units it has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tile {
    /// First unit; of the loop's first round where `looped`.
    pub(super) first: u64,
    /// Units of the tile.
    pub(super) count: u64,
    /// Whether the tile stands in a hardware loop, one tile a round.
    pub(super) looped: bool,
}

/// A probe's place: where the box an instruction writes lies in a tensor.
pub(super) struct Place<'a> {
    pub(super) tensor: &'a str,
    pub(super) shape: Vec<u64>,
    pub(super) origin: u64,
    /// Elements a unit of the enclosing loop advances.
    pub(super) per_unit: u64,
    pub(super) extents: Vec<u64>,
    pub(super) strides: Vec<u64>,
    pub(super) class: Class,
}

impl Emitter {
    pub(super) fn new(observed: bool) -> Self {
        Emitter { observed, ..Emitter::default() }
    }

    /// Instructions from here on belong to a phase and layer.
    pub(super) fn mark(&mut self, phase: Phase, layer: Option<u32>) {
        self.marks.push(Mark { pc: self.code.len(), phase, layer });
    }

    /// Products from here on join by a rule; outside loops.
    pub(super) fn accumulators(&mut self, dst: ModeIndex, rule: AccumulatorRule, weight_stationary: bool) {
        let AccumulatorRule { bits, overflow, tree, chunk, outer_bits } = rule;
        let mode = Mode { dst, bits, overflow, tree, chunk, outer_bits, weight_stationary };
        if self.modes.insert(dst, mode) != Some(mode) {
            self.push(Instr::Mode(mode));
        }
    }

    pub(super) fn push(&mut self, instr: Instr) {
        self.code.push(instr);
    }

    /// Emits an instruction and names what it yields.
    pub(super) fn push_probed(&mut self, instr: Instr, what: Yield, place: Place<'_>, tile: Tile) {
        self.probe(what, place, tile);
        self.push(instr);
    }

    /// Names what the next instruction yields.
    pub(super) fn probe(&mut self, what: Yield, place: Place<'_>, tile: Tile) {
        if !self.observed {
            return;
        }
        let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        self.probes.push(Probe {
            pc: self.code.len(),
            tensor: place.tensor.to_owned(),
            shape: place.shape,
            what,
            origin: signed(place.origin),
            loops: if tile.looped { vec![signed(tile.count * place.per_unit)] } else { Vec::new() },
            extents: place.extents,
            strides: place.strides.into_iter().map(signed).collect(),
            class: place.class,
        });
    }

    /// The DRAM address of bit `bit_offset` of a tensor, plus the tile's first unit where a unit is `unit_bits`.
    pub(super) fn dram(&mut self, tensor: &Stored, tile: Tile, unit_bits: u64, bit_offset: u64) -> Address {
        let bits = tile.first * unit_bits + bit_offset;
        debug_assert_eq!(bits % 8, 0, "tiles begin at whole bytes");
        let offset = tensor.address + bits / 8;
        if tile.looped && unit_bits > 0 {
            let registers = self.registers.as_mut().expect("a looped tile stands in a loop");
            let next = Scalar(u8::try_from(registers.len() + 1).unwrap_or(u8::MAX));
            let register = *registers.entry(unit_bits).or_insert(next);
            Address::relative(Memory::Dram, register, offset)
        } else {
            Address::at(Memory::Dram, offset)
        }
    }

    /// The register that holds the number of units done, for what counts elements and not bytes.
    pub(super) fn unit_register(&mut self, tile: Tile) -> Scalar {
        if !tile.looped {
            return Scalar(0);
        }
        let registers = self.registers.as_mut().expect("a looped tile stands in a loop");
        let next = Scalar(u8::try_from(registers.len() + 1).unwrap_or(u8::MAX));
        *registers.entry(8).or_insert(next)
    }

    /// Emits `body` for units `first..total` in tiles of `size`: a hardware loop over the whole tiles, the rest
    /// behind it.
    pub(super) fn tiles(
        &mut self,
        first: u64,
        total: u64,
        size: u64,
        body: &mut dyn FnMut(&mut Emitter, Tile),
    ) {
        let (whole, rest) = ((total - first) / size, (total - first) % size);
        if whole > 1 {
            self.looped(first, whole, size, body);
        } else if whole == 1 {
            body(self, Tile { first, count: size, looped: false });
        }
        if rest > 0 {
            body(self, Tile { first: first + whole * size, count: rest, looped: false });
        }
    }

    fn looped(&mut self, first: u64, rounds: u64, size: u64, body: &mut dyn FnMut(&mut Emitter, Tile)) {
        let mut inner = Emitter { observed: self.observed, ..Emitter::default() };
        inner.registers = Some(BTreeMap::new());
        body(&mut inner, Tile { first, count: size, looped: true });
        let registers = inner.registers.unwrap_or_default();
        for &register in registers.values() {
            self.push(Instr::Set(Set { dst: register, value: 0 }));
        }
        self.push(Instr::Loop(Loop { count: u32::try_from(rounds).unwrap_or(u32::MAX) }));
        let start = self.code.len();
        self.probes.extend(inner.probes.into_iter().map(|p| Probe { pc: p.pc + start, ..p }));
        self.code.append(&mut inner.code);
        for (&bits, &register) in &registers {
            let value = i64::try_from(size * bits / 8).unwrap_or(i64::MAX);
            self.push(Instr::Addi(Addi { dst: register, a: register, value }));
        }
        self.push(Instr::End);
    }
}
