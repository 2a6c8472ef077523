//! The emitter: instructions, marks and probes in order, loops over units with their address registers, and the banks
//! of the scratchpads that tiles take turns in.
//!
//! Knows instructions and the memory map; nothing of layers or tiling.

use std::collections::BTreeMap;

use super::choice::Choice;
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
    /// How products were tiled.
    pub(super) choices: Vec<Choice>,
    /// Where tiles lie in each scratchpad.
    banks: Banks,
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
    /// Units from round to round of the hardware loop the tile stands in; 0 where it stands in none.
    pub(super) advance: u64,
}

impl Tile {
    /// Units `first..first + count`, in no loop.
    pub(super) fn once(first: u64, count: u64) -> Self {
        Tile { first, count, advance: 0 }
    }
}

/// The part of a scratchpad that tiles use: one place, or two that they take in turn, so that the next tile's work does not
/// wait for this one's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Bank {
    base: u64,
    /// Bytes from place to place; 0 where there is one.
    stride: u64,
    second: bool,
}

/// The banks of the four scratchpads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Banks([Bank; 4]);

/// Bank places begin at multiples of this many bytes.
pub(super) const BANK_ALIGNMENT: u64 = 8;

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

    /// Tiles of a scratchpad lie in `bytes` bytes from `base` on; in halves of them by turns where `need` bytes fit a half.
    pub(super) fn bank(&mut self, memory: Memory, base: u64, bytes: u64, need: u64) {
        let half = bytes / 2 / BANK_ALIGNMENT * BANK_ALIGNMENT;
        let stride = if need <= half { half } else { 0 };
        if let Some(bank) = self.banks.0.get_mut(memory.index()) {
            *bank = Bank { base, stride, second: false };
        }
    }

    /// Tiles of every scratchpad lie at its beginning.
    pub(super) fn one_bank(&mut self) {
        self.banks = Banks::default();
    }

    /// The next tile takes the other places of these scratchpads.
    pub(super) fn turn(&mut self, memories: &[Memory]) {
        for memory in memories {
            if let Some(bank) = self.banks.0.get_mut(memory.index()) {
                bank.second = bank.stride > 0 && !bank.second;
            }
        }
    }

    /// A byte of the present tile's place in a scratchpad.
    pub(super) fn at(&self, memory: Memory, offset: u64) -> Address {
        let bank = self.banks.0.get(memory.index()).copied().unwrap_or_default();
        Address::at(memory, bank.base + if bank.second { bank.stride } else { 0 } + offset)
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
            loops: if tile.advance > 0 { vec![signed(tile.advance * place.per_unit)] } else { Vec::new() },
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
        if tile.advance > 0 && unit_bits > 0 {
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
        if tile.advance == 0 {
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
        let mut at = first;
        if whole > 1 {
            at += self.looped(first, whole, size, body) * size;
        }
        while at < first + whole * size {
            body(self, Tile::once(at, size));
            at += size;
        }
        if rest > 0 {
            body(self, Tile::once(at, rest));
        }
    }

    /// A loop over up to `rounds` tiles; how many it has. A body that leaves tiles in other places than it found them
    /// stands in the loop twice.
    fn looped(
        &mut self,
        first: u64,
        rounds: u64,
        size: u64,
        body: &mut dyn FnMut(&mut Emitter, Tile),
    ) -> u64 {
        let mut inner = self.in_loop();
        body(&mut inner, Tile { first, count: size, advance: size });
        let mut bodies = 1;
        if inner.banks != self.banks {
            if rounds < 4 {
                return 0;
            }
            inner = self.in_loop();
            for body_of_round in 0..2 {
                body(
                    &mut inner,
                    Tile { first: first + body_of_round * size, count: size, advance: 2 * size },
                );
            }
            debug_assert_eq!(inner.banks, self.banks, "two turns are none");
            bodies = 2;
        }
        let registers = inner.registers.unwrap_or_default();
        for &register in registers.values() {
            self.push(Instr::Set(Set { dst: register, value: 0 }));
        }
        let count = rounds / bodies;
        self.push(Instr::Loop(Loop { count: u32::try_from(count).unwrap_or(u32::MAX) }));
        let start = self.code.len();
        self.probes.extend(inner.probes.into_iter().map(|p| Probe { pc: p.pc + start, ..p }));
        self.code.append(&mut inner.code);
        for (&bits, &register) in &registers {
            let value = i64::try_from(bodies * size * bits / 8).unwrap_or(i64::MAX);
            self.push(Instr::Addi(Addi { dst: register, a: register, value }));
        }
        self.push(Instr::End);
        count * bodies
    }

    /// An emitter of a loop's body.
    fn in_loop(&self) -> Emitter {
        let registers = Some(BTreeMap::new());
        Emitter {
            observed: self.observed,
            banks: self.banks,
            modes: self.modes.clone(),
            registers,
            ..Emitter::default()
        }
    }
}
