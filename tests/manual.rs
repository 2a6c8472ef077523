//! The manual's reference part is the table's, and its pages name every instruction's vectors.

#[test]
fn the_reference_is_fresh() {
    let path = format!("{}/isa/reference.md", env!("CARGO_MANIFEST_DIR"));
    let made = wagesim::isa::manual::reference();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == made, "isa/reference.md is stale: `UPDATE=1 cargo test --test manual` writes it anew");
}
