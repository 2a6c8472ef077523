//! Machine state, units and the engines that execute instructions.
