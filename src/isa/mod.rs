//! The instruction set: instructions, encoding, assembler, disassembler, verifier, manual.
//!
//! Everything here is made from `isa/table.toml` (by `build.rs`) or works on any instruction of it through its
//! [`InstrSpec`]. What an instruction *does* stands in the engines; nothing here knows layers, phases or tensors.

mod assembly;
mod disassembly;
mod encode;
mod field;
mod footprint;
mod instr;
pub mod manual;
mod verify;
mod window;

pub use assembly::{
    AssemblyError, Line, NameError, Names, Place, Scope, Value, assemble, choices, listed, nearest,
    without_comment,
};
pub use encode::{DecodeError, EncodeError, decode, encode};
pub use field::{Address, Counter, Format, Memory, ModeIndex, Scalar, Scale};
pub use footprint::{Footprint, Range, Registers};
pub use instr::*;
pub use verify::{AccessError, Sizes, verify};
pub use window::{Covered, Span, TapOrder, TapRun};
