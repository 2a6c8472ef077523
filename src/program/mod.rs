//! The compiled artefact: read, write, inspect.
