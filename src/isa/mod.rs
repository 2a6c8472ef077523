//! The instruction set: instructions, encoding, assembler, disassembler, verifier. Made from `isa/table.toml`.
