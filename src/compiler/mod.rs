//! Network to program: lowering, tiling, memory map, initial data.
