//! How many elements an instruction passes through the vector unit, and how many of them a cycle.

use crate::isa::Instr;
use crate::spec::Machine;

/// Elements that pass the lanes: what it writes, or the elements of all windows for a pool; 1 for what touches
/// registers only, 0 for instructions of other units.
pub fn lane_elements(instr: &Instr) -> u64 {
    let product = |counts: &[u32]| counts.iter().map(|&n| u64::from(n)).product();
    match instr {
        Instr::VFill(i) => i.count.into(),
        Instr::VLookup(i) => i.count.into(),
        Instr::VShift(i) => i.count.into(),
        Instr::VRelu(i) => i.count.into(),
        Instr::VState(i) => i.count.into(),
        Instr::VMask(i) => i.count.into(),
        Instr::VMaxabs(i) => i.count.into(),
        Instr::VSumsq(i) => i.count.into(),
        Instr::VStochastic(i) => i.count.into(),
        Instr::VSub(i) => i.count.into(),
        Instr::VAdd(i) => i.count.into(),
        Instr::VOnehot(i) => product(&[i.rows, i.columns]),
        Instr::VArgmax(i) => product(&[i.rows, i.columns]),
        Instr::VReduce(i) => product(&[i.rows, i.columns]),
        Instr::VExp(i) => product(&[i.rows, i.columns]),
        Instr::VDivide(i) => product(&[i.rows, i.columns]),
        Instr::VPool(i) => product(&[i.images, i.out_rows, i.out_cols, i.channels, i.window, i.window]),
        Instr::VUnpool(i) => {
            let sources = product(&[i.images, i.in_rows, i.in_cols, i.channels]);
            let outputs: u64 = product(&[i.images, i.height, i.width, i.channels]);
            outputs.max(sources)
        }
        Instr::XSet(_) | Instr::XExponent(_) | Instr::XSub(_) | Instr::CClear(_) => 1,
        _ => 0,
    }
}

/// Whether what it does is built once, not in every lane: squares, and what concerns registers. Its elements pass one a cycle.
pub fn is_built_once(instr: &Instr) -> bool {
    matches!(
        instr,
        Instr::VSumsq(_) | Instr::XSet(_) | Instr::XExponent(_) | Instr::XSub(_) | Instr::CClear(_)
    )
}

/// Cycles in which elements of an instruction of the vector unit enter it.
pub(super) fn beats(instr: &Instr, machine: &Machine) -> u64 {
    let a_cycle = if is_built_once(instr) { 1 } else { machine.vector.lanes.into() };
    lane_elements(instr).div_ceil(a_cycle).max(1)
}
