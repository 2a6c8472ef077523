//! Data sets: reading, checking, order of presentation.
