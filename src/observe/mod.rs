//! Observers of executed instructions: counts, time, energy, statistics, tensor dumps.
