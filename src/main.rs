//! The `wagesim` command.

fn main() {}
