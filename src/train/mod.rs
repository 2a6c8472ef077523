//! The host: feeds batches, sets the learning rate, reads counters, keeps checkpoints.
