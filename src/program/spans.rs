//! What is known of ranges of bytes: disjoint spans, cut where a range begins or ends.

use std::collections::BTreeMap;
use std::ops::Range;

/// Spans by their first byte.
#[derive(Debug, Clone)]
pub(super) struct Spans<T> {
    spans: BTreeMap<u64, (u64, T)>,
}

impl<T> Default for Spans<T> {
    fn default() -> Self {
        Spans { spans: BTreeMap::new() }
    }
}

impl<T: Clone + Default> Spans<T> {
    /// Cuts the span that a byte lies within, so that one begins there.
    fn cut(&mut self, at: u64) {
        let Some((&first, (end, known))) = self.spans.range_mut(..at).next_back() else { return };
        if *end > at {
            let behind = (std::mem::replace(end, at), known.clone());
            debug_assert!(first < at);
            self.spans.insert(at, behind);
        }
    }

    /// What is known of every byte of a range; of those not met before, the default.
    pub(super) fn all(&mut self, range: Range<u64>) -> impl Iterator<Item = &mut T> {
        self.cut(range.start);
        self.cut(range.end);
        let mut gaps = Vec::new();
        let mut covered = range.start;
        for (&first, &(end, _)) in self.spans.range(range.clone()) {
            if first > covered {
                gaps.push((covered, first));
            }
            covered = end;
        }
        if covered < range.end {
            gaps.push((covered, range.end));
        }
        self.spans.extend(gaps.into_iter().map(|(first, end)| (first, (end, T::default()))));
        self.spans.range_mut(range).map(|(_, (_, known))| known)
    }

    /// The spans that have bytes of a range.
    pub(super) fn meeting(&self, range: Range<u64>) -> impl Iterator<Item = (Range<u64>, &T)> {
        let before = self.spans.range(..range.start).next_back().filter(|(_, (end, _))| *end > range.start);
        let spans = before.into_iter().chain(self.spans.range(range));
        spans.map(|(&first, (end, known))| (first..*end, known))
    }

    /// Every span in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Range<u64>, &T)> {
        self.meeting(0..u64::MAX)
    }

    /// The same of every byte of a range from now on.
    pub(super) fn replace(&mut self, range: Range<u64>, known: T) {
        self.cut(range.start);
        self.cut(range.end);
        let within: Vec<u64> = self.spans.range(range.clone()).map(|(&first, _)| first).collect();
        within.iter().for_each(|first| drop(self.spans.remove(first)));
        self.spans.insert(range.start, (range.end, known));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn spans_know_of_every_byte_what_a_list_of_bytes_knows(
            changes in prop::collection::vec((0u64..60, 1u64..20, any::<bool>()), 1..40)
        ) {
            let mut spans = Spans::<Vec<usize>>::default();
            let mut bytes: Vec<Vec<usize>> = vec![Vec::new(); 80];
            for (number, (first, length, replaces)) in changes.into_iter().enumerate() {
                let range = first..first + length;
                let of = |n: u64| usize::try_from(n).unwrap();
                if replaces {
                    bytes[of(first)..of(range.end)].fill(vec![number]);
                    spans.replace(range, vec![number]);
                } else {
                    bytes[of(first)..of(range.end)].iter_mut().for_each(|b| b.push(number));
                    spans.all(range).for_each(|known| known.push(number));
                }
                let mut covered = 0;
                for (range, known) in spans.iter() {
                    prop_assert!(range.start >= covered && range.end > range.start);
                    covered = range.end;
                    prop_assert!(bytes[of(range.start)..of(range.end)].iter().all(|b| b == known));
                }
                let met: Vec<_> = spans.meeting(first..first + length).collect();
                prop_assert!(met.iter().all(|(range, _)| range.start < first + length && range.end > first));
                prop_assert!(met.first().is_some_and(|(range, _)| range.start <= first));
            }
        }
    }
}
