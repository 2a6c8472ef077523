//! Right operands, and which is where: those of weights, which many instructions meet, and a few that pass, as errors do.

use std::collections::HashMap;
use std::ops::{Index, IndexMut};

use super::layout::Layout;
use super::right::Right;
use super::{Key, Rotation, anywhere};
use crate::isa::Format;
use crate::machine::State;
use crate::machine::kernels::{Kernels, compiled};
use crate::program::RIGHTS;

/// Right operands of weights that are kept; more than the tiles of a training step and its evaluation.
const WEIGHTS: usize = 4096;

/// All right operands that are known.
#[derive(Debug)]
pub(super) struct Rights {
    /// Those that pass, as many as [`RIGHTS`], and those of weights.
    all: Vec<Right>,
    /// Where weights are whose content is not known.
    weights_of: HashMap<Key, usize>,
    /// Where those are that have a content, by where they are that have none.
    weights_of_content: HashMap<(usize, usize), usize>,
    /// What is known of those that pass; nothing before the first.
    passing: [Option<Passing>; RIGHTS],
    recent: Rotation<RIGHTS>,
    /// Instructions over positions that take and weave right operands alike.
    alike_of: HashMap<Alike, usize>,
}

/// What the right operand of an instruction is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Whose {
    /// Weights, over taps; where they are if their content is not known.
    Weights(usize),
    /// Soon another, over positions; whose are taken and woven alike, none where they are not woven.
    Passing(Option<usize>),
}

/// A right operand that is soon another.
#[derive(Debug, Clone, Copy)]
struct Passing {
    /// The prepared instruction that it was last of.
    number: usize,
    /// Whose are alike, and its content, if they are known.
    content: Option<(usize, usize)>,
}

/// All that how a right operand is taken and woven over positions depends on.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Alike {
    format: Format,
    columns: (u32, i32),
    codes: Vec<usize>,
    woven: [Option<Vec<Option<usize>>>; 2],
}

impl Rights {
    /// None that are known.
    pub(super) fn new() -> Rights {
        Rights {
            all: (0..RIGHTS).map(|_| Right::default()).collect(),
            weights_of: HashMap::new(),
            weights_of_content: HashMap::new(),
            passing: [None; RIGHTS],
            recent: Rotation::default(),
            alike_of: HashMap::new(),
        }
    }

    /// Whether there are as many as are kept.
    pub(super) fn are_many(&self) -> bool {
        self.all.len() > WEIGHTS
    }

    /// Contents are no longer what they were.
    pub(super) fn forget_contents(&mut self) {
        self.all.iter_mut().for_each(|right| right.content = None);
        self.passing.iter_mut().flatten().for_each(|passing| passing.content = None);
    }

    /// A place for one more.
    pub(super) fn add(&mut self) -> usize {
        self.all.push(Right::default());
        self.all.len() - 1
    }

    /// What the right operand of a layout is. Weights are in one place for instructions that differ in where their left operand and their
    /// output are.
    pub(super) fn whose(&mut self, layout: &Layout, kernels: Kernels) -> Whose {
        if !layout.positions_reduced {
            let key = Key(anywhere(&layout.m), false);
            let known = self.weights_of.get(&key).copied();
            return Whose::Weights(known.unwrap_or_else(|| {
                let own = self.add();
                self.weights_of.insert(key, own);
                own
            }));
        }
        Whose::Passing(Alike::of(layout, kernels).map(|rights| {
            let known = self.alike_of.len();
            *self.alike_of.entry(rights).or_insert(known)
        }))
    }

    /// Where the one is that has a content, as an instruction lays it out.
    pub(super) fn known(&self, whose: Whose, content: Option<usize>) -> Option<usize> {
        let content = content?;
        match whose {
            Whose::Weights(own) => {
                let place = self.weights_of_content.get(&(own, content)).copied();
                place.filter(|&place| self.all[place].content == Some(content))
            }
            Whose::Passing(alike) => {
                let known = Some((alike?, content));
                self.passing
                    .iter()
                    .position(|passing| passing.is_some_and(|passing| passing.content == known))
            }
        }
    }

    /// Takes that of a prepared instruction, unless it is known: where it is.
    pub(super) fn take(
        &mut self,
        kernels: Kernels,
        (number, layout, whose): (usize, &Layout, Whose),
        content: Option<usize>,
        state: &State,
    ) -> usize {
        let known = self.known(whose, content);
        let place = match (whose, content) {
            (Whose::Weights(own), None) => own,
            (Whose::Weights(own), Some(content)) => known.unwrap_or_else(|| self.of_content(own, content)),
            (Whose::Passing(alike), _) => {
                let place = self.recent.place(known, content.is_some());
                let passing = Passing { number, content: alike.zip(content) };
                let before = self.passing[place].replace(passing);
                if before.is_none_or(|before| before.number != number) {
                    match known {
                        Some(_) => self.all[place].forget_panels(),
                        None => self.all[place].forget(),
                    }
                }
                place
            }
        };
        if known.is_none() {
            let right = &mut self.all[place];
            compiled!(kernels, right.take(kernels, layout, state));
            if matches!(whose, Whose::Weights(_)) {
                right.content = content;
            }
        }
        place
    }

    /// Where weights are that have a content.
    fn of_content(&mut self, own: usize, content: usize) -> usize {
        let known = self.weights_of_content.get(&(own, content)).copied();
        known.unwrap_or_else(|| {
            let place = self.add();
            self.weights_of_content.insert((own, content), place);
            place
        })
    }
}

impl Index<usize> for Rights {
    type Output = Right;

    fn index(&self, place: usize) -> &Right {
        &self.all[place]
    }
}

impl IndexMut<usize> for Rights {
    fn index_mut(&mut self, place: usize) -> &mut Right {
        &mut self.all[place]
    }
}

impl Alike {
    /// That of a layout; none where it is not woven.
    fn of(layout: &Layout, kernels: Kernels) -> Option<Alike> {
        let ways = layout.woven(kernels)?;
        let m = &layout.m;
        Some(Alike {
            format: m.right_format,
            columns: (m.columns, m.column_stride),
            codes: layout.right_of.clone(),
            woven: [Some(&ways.dense), ways.pooled.as_ref()].map(|woven| Some(woven?.right().to_vec())),
        })
    }
}
