//! What the counters of the scratchpads count, as changes in order of time.

/// From a cycle on, a scratchpad's counter has a value; or, as an edge, it rises or falls by so much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Change {
    pub(super) cycle: u64,
    /// Its place among the scratchpads.
    pub(super) memory: usize,
    pub(super) value: i64,
}

/// The values that edges add up to, where they are others than before.
pub(super) fn totals(mut edges: Vec<Change>) -> Vec<Change> {
    edges.sort_unstable();
    let mut totals = [0; 4];
    let mut changes: Vec<Change> = Vec::new();
    for together in edges.chunk_by(|a, b| (a.cycle, a.memory) == (b.cycle, b.memory)) {
        let by: i64 = together.iter().map(|edge| edge.value).sum();
        if let ([edge, ..], false) = (together, by == 0) {
            totals[edge.memory] += by;
            changes.push(Change { value: totals[edge.memory], ..*edge });
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::{Change, totals};

    #[test]
    fn edges_of_one_cycle_are_one_change_and_no_change_is_none() {
        let edge = |cycle, memory, value| Change { cycle, memory, value };
        let edges =
            vec![edge(5, 1, -2), edge(0, 1, 2), edge(5, 1, 2), edge(0, 1, 1), edge(3, 0, 7), edge(9, 1, -3)];
        assert_eq!(totals(edges), [edge(0, 1, 3), edge(3, 0, 7), edge(9, 1, 0)]);
    }
}
