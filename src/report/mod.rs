//! What a run says: JSON, tables, plots.
