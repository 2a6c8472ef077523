//! How many elements an instruction passes through the vector unit's lanes.

use crate::isa::Instr;

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
