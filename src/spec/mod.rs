//! The machine file, checked: plain data.
