//! The signals of a waveform: their names and widths by scope, and what they hold as characters `0`, `1` and `x`.

/// A scope and its signals: name and bits.
pub(super) struct Scope {
    pub(super) name: String,
    pub(super) vars: Vec<(String, u32)>,
}

impl Scope {
    pub(super) fn new(name: &str) -> Self {
        Scope { name: name.to_owned(), vars: Vec::new() }
    }

    pub(super) fn var(mut self, name: &str, bits: u32) -> Self {
        self.add(name, bits);
        self
    }

    pub(super) fn add(&mut self, name: &str, bits: u32) {
        self.vars.push((name.to_owned(), bits.max(1)));
    }
}

/// All signals, in the order of their scopes.
pub(super) struct Signals {
    pub(super) scopes: Vec<Scope>,
    widths: Vec<usize>,
    held: Vec<Vec<u8>>,
    changed: Vec<bool>,
    at: usize,
}

impl Signals {
    pub(super) fn new(scopes: Vec<Scope>) -> Self {
        let vars = scopes.iter().flat_map(|scope| &scope.vars);
        let widths: Vec<usize> = vars.map(|&(_, bits)| usize::try_from(bits).unwrap_or(1)).collect();
        let held = widths.iter().map(|_| Vec::new()).collect();
        let changed = vec![false; widths.len()];
        Signals { scopes, widths, held, changed, at: 0 }
    }

    /// The next value is the first signal's.
    pub(super) fn begin(&mut self) {
        self.at = 0;
    }

    /// The next signal holds the low bits of a value, or nothing.
    pub(super) fn value(&mut self, value: Option<i64>) {
        let Some(&width) = self.widths.get(self.at) else { return };
        let bit = |place: usize| match value {
            None => b'x',
            Some(value) if value >> place.min(63) & 1 == 1 => b'1',
            Some(_) => b'0',
        };
        let held = &mut self.held[self.at];
        let same =
            held.len() == width && (0..width).rev().zip(held.iter()).all(|(place, &c)| bit(place) == c);
        if !same {
            held.clear();
            held.extend((0..width).rev().map(bit));
            self.changed[self.at] = true;
        }
        self.at += 1;
    }

    pub(super) fn number(&mut self, value: Option<u64>) {
        self.value(value.map(u64::cast_signed));
    }

    pub(super) fn index(&mut self, value: Option<usize>) {
        self.number(value.map(|n| n as u64));
    }

    pub(super) fn bit(&mut self, value: bool) {
        self.number(Some(value.into()));
    }

    /// Signals that changed since this was asked: their numbers and characters.
    pub(super) fn changes(&mut self) -> impl Iterator<Item = (usize, &[u8])> {
        let changed = self.changed.iter_mut().zip(&self.held).enumerate();
        changed.filter_map(|(i, (changed, held))| std::mem::take(changed).then_some((i, held.as_slice())))
    }
}
