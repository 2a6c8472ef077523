//! AMX for tests on processors without it: its instructions are illegal there, so the kernel's own machine code traps, and
//! the handler does what the architecture's manual says of the instruction and goes on behind it. It knows the seven that
//! the kernels have; what is stricter in it than in a processor, or unknown to it, ends the test.

use std::cell::RefCell;
use std::sync::Once;

const TILES: usize = 8;
const ROWS: usize = 16;
const ROW_BYTES: usize = 64;

const EMPTY: [[[u8; ROW_BYTES]; ROWS]; TILES] = [[[0; ROW_BYTES]; ROWS]; TILES];

/// Tiles of a thread.
struct State {
    /// Rows and bytes of each row; none while tiles are not configured.
    shapes: Option<[(usize, usize); TILES]>,
    tiles: [[[u8; ROW_BYTES]; ROWS]; TILES],
    /// Products of tiles that were done.
    products: u64,
}

thread_local! {
    static STATE: RefCell<State> = const { RefCell::new(State { shapes: None, tiles: EMPTY, products: 0 }) };
}

/// From here on, AMX's instructions work in this process; where the processor has them nothing is done.
pub(in crate::machine) fn emulate() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if !super::is_available() {
            // SAFETY: the handler is a function of the kind that SA_SIGINFO asks for; all else of the action is zero: an empty
            // mask.
            unsafe {
                let mut action: libc::sigaction = std::mem::zeroed();
                action.sa_sigaction = handle as *const () as usize;
                action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
                assert_eq!(libc::sigaction(libc::SIGILL, &raw const action, std::ptr::null_mut()), 0);
            }
        }
    });
}

/// Products of two tiles that were emulated on this thread.
pub(in crate::machine) fn emulated_products() -> u64 {
    STATE.with_borrow(|state| state.products)
}

/// What SIGILL calls: on the thread that met the instruction, between two of its instructions.
extern "C" fn handle(_: libc::c_int, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: SA_SIGINFO gives a `ucontext_t` that is this call's.
    let registers = unsafe { &mut (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs };
    let done =
        STATE.with(|state| state.try_borrow_mut().ok().and_then(|mut state| step(&mut state, registers)));
    if done.is_none() {
        // Met again, the instruction ends the process.
        // SAFETY: the default action takes no function.
        unsafe { libc::signal(libc::SIGILL, libc::SIG_DFL) };
    }
}

/// A thread's registers, as Linux gives them.
type Registers = [libc::greg_t; 23];

/// Places of the registers in the order of their numbers.
const NUMBERED: [libc::c_int; 16] = [
    libc::REG_RAX,
    libc::REG_RCX,
    libc::REG_RDX,
    libc::REG_RBX,
    libc::REG_RSP,
    libc::REG_RBP,
    libc::REG_RSI,
    libc::REG_RDI,
    libc::REG_R8,
    libc::REG_R9,
    libc::REG_R10,
    libc::REG_R11,
    libc::REG_R12,
    libc::REG_R13,
    libc::REG_R14,
    libc::REG_R15,
];

/// An instruction of three bytes of VEX prefix, opcode and ModRM.
struct Decoded {
    prefix: u8,
    opcode: u8,
    reg: usize,
    rm: usize,
    vvvv: usize,
    /// Address and index (the bytes from row to row) of an operand in memory.
    memory: Option<(usize, usize)>,
    length: i64,
}

/// The instruction at the instruction pointer; none where it is none of AMX's.
fn decode(registers: &Registers) -> Option<Decoded> {
    let register = |number: usize| {
        let held = registers[usize::try_from(NUMBERED[number]).ok()?];
        Some(usize::from_ne_bytes(held.to_ne_bytes()))
    };
    let at = usize::from_ne_bytes(registers[usize::try_from(libc::REG_RIP).ok()?].to_ne_bytes()) as *const u8;
    // SAFETY: the processor has read an instruction here; one of the length that its bytes say.
    let byte = |i: usize| unsafe { at.add(i).read() };
    // C4, map 0F 38, no W, 128 bits.
    if byte(0) != 0xc4 || byte(1) & 0x1f != 2 || byte(2) & 0x84 != 0 {
        return None;
    }
    let extended = |bit: u8| if byte(1) & bit == 0 { 8 } else { 0 };
    let modrm = byte(4);
    let (mode, low) = (modrm >> 6, usize::from(modrm & 7));
    let mut decoded = Decoded {
        prefix: byte(2) & 3,
        opcode: byte(3),
        reg: usize::from(modrm >> 3 & 7) + extended(0x80),
        rm: low + extended(0x20),
        vvvv: usize::from(!(byte(2) >> 3) & 15),
        memory: None,
        length: 5,
    };
    if mode == 3 {
        return Some(decoded);
    }
    let mut length = 5;
    let (base, index) = if low == 4 {
        let sib = byte(5);
        length = 6;
        let (base, index) =
            (usize::from(sib & 7) + extended(0x20), usize::from(sib >> 3 & 7) + extended(0x40));
        let index = if index == 4 { 0 } else { register(index)?.wrapping_shl((sib >> 6).into()) };
        (base, index)
    } else {
        (decoded.rm, 0)
    };
    let displacement = match mode {
        // An address without a base: the kernel has none.
        0 if base & 7 == 5 => return None,
        0 => 0,
        1 => isize::from(byte(length).cast_signed()),
        _ => isize::try_from(i32::from_le_bytes([0, 1, 2, 3].map(|i| byte(length + i)))).ok()?,
    };
    length += [0, 1, 4][usize::from(mode)];
    decoded.memory = Some((register(base)?.wrapping_add_signed(displacement), index));
    decoded.length = i64::try_from(length).ok()?;
    Some(decoded)
}

/// Does the instruction at the instruction pointer and goes on behind it; none where it is not to be done.
fn step(state: &mut State, registers: &mut Registers) -> Option<()> {
    let i = decode(registers)?;
    let shape = |tile: usize| state.shapes?.get(tile).copied().filter(|&(rows, bytes)| rows > 0 && bytes > 0);
    match (i.opcode, i.prefix, i.memory) {
        // LDTILECFG
        (0x49, 0, Some((at, _))) if i.reg == 0 => {
            // SAFETY: the instruction reads 64 bytes from here, so its user vouches for them.
            let bytes = unsafe { (at as *const [u8; 64]).read() };
            let reserved = bytes[2..16].iter().chain(&bytes[32..48]).chain(&bytes[56..64]);
            if bytes[0] != 1 || bytes[1] != 0 || reserved.copied().any(|b| b != 0) {
                return None;
            }
            let of = |t: usize| {
                let row_bytes = u16::from_le_bytes([bytes[16 + 2 * t], bytes[17 + 2 * t]]);
                (usize::from(bytes[48 + t]), usize::from(row_bytes))
            };
            let shapes: [(usize, usize); TILES] = std::array::from_fn(of);
            if shapes.iter().any(|&(rows, row_bytes)| rows > ROWS || row_bytes > ROW_BYTES) {
                return None;
            }
            (state.shapes, state.tiles) = (Some(shapes), EMPTY);
        }
        // TILERELEASE
        (0x49, 0, None) if (i.reg, i.rm) == (0, 0) => {
            (state.shapes, state.tiles) = (None, EMPTY);
        }
        // TILEZERO
        (0x49, 3, None) if i.rm == 0 => {
            shape(i.reg)?;
            state.tiles[i.reg] = [[0; ROW_BYTES]; ROWS];
        }
        // TILELOADD
        (0x4b, 3, Some((at, step))) => {
            let (rows, row_bytes) = shape(i.reg)?;
            let mut tile = [[0; ROW_BYTES]; ROWS];
            for (r, row) in tile[..rows].iter_mut().enumerate() {
                let from = at.wrapping_add(r.wrapping_mul(step)) as *const u8;
                // SAFETY: as the instruction's user vouches.
                unsafe { from.copy_to(row.as_mut_ptr(), row_bytes) };
            }
            state.tiles[i.reg] = tile;
        }
        // TILESTORED
        (0x4b, 2, Some((at, step))) => {
            let (rows, row_bytes) = shape(i.reg)?;
            for (r, row) in state.tiles[i.reg][..rows].iter().enumerate() {
                let to = at.wrapping_add(r.wrapping_mul(step)) as *mut u8;
                // SAFETY: as the instruction's user vouches.
                unsafe { to.copy_from(row.as_ptr(), row_bytes) };
            }
        }
        // TDPBUSD, TDPBSSD
        (0x5e, 1 | 3, None) => {
            let ((rows, row_bytes), left, right) = (shape(i.reg)?, shape(i.rm)?, shape(i.vvvv)?);
            let fit = left == (rows, 4 * right.0) && right.1 == row_bytes && row_bytes % 4 == 0;
            if !fit || i.reg == i.rm || i.rm == i.vvvv || i.reg == i.vvvv {
                return None;
            }
            state.products += 1;
            let (left, right) = (state.tiles[i.rm], state.tiles[i.vvvv]);
            let value = |byte: u8| if i.prefix == 3 { byte.cast_signed().into() } else { i32::from(byte) };
            for (sums, left) in state.tiles[i.reg][..rows].iter_mut().zip(&left) {
                dot(sums.as_chunks_mut().0, &left.map(value), &right);
            }
        }
        _ => return None,
    }
    registers[usize::try_from(libc::REG_RIP).ok()?] += i.length;
    Some(())
}

/// One row of sums: bytes of a row with signed ones of each column, four at a time.
fn dot(sums: &mut [[u8; 4]], left: &[i32; ROW_BYTES], right: &[[u8; ROW_BYTES]; ROWS]) {
    for (left, right) in left.as_chunks::<4>().0.iter().zip(right) {
        for (sum, right) in sums.iter_mut().zip(right.as_chunks::<4>().0) {
            let products = left.iter().zip(right).map(|(&a, &b)| a * i32::from(b.cast_signed()));
            *sum = i32::from_le_bytes(*sum).wrapping_add(products.sum()).to_le_bytes();
        }
    }
}
