//! Texts as files: beside each `tests/cases/assembly/NAME.s` stands in `NAME.txt` what it assembles to, or what is wrong with
//! it. `UPDATE=1` writes them again.

use std::fmt::Write;
use std::path::Path;

use wagesim::program::Program;

fn told(text: &str, name: &str) -> String {
    let mut out = String::new();
    match Program::assembled(text, name) {
        Err(errors) => writeln!(out, "error: {errors}").unwrap(),
        Ok(assembled) => {
            for warning in assembled.warnings {
                writeln!(out, "warning: {warning}\n").unwrap();
            }
            let text = assembled.program.to_text();
            assert!(
                Program::from_text(&text, name).unwrap() == assembled.program,
                "{name} from its own text"
            );
            out += &text;
        }
    }
    out
}

#[test]
fn each_text_gives_what_stands_beside_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/assembly");
    let mut cases = 0;
    for file in std::fs::read_dir(&folder).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_none_or(|e| e != "s") {
            continue;
        }
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let told = told(&std::fs::read_to_string(&path).unwrap(), &path.display().to_string());
        // Files are named as from their folder, wherever that lies.
        let told = told.replace(&format!("{}/", folder.display()), "");
        let beside = path.with_extension("txt");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&beside, &told).unwrap();
        }
        let expected = std::fs::read_to_string(&beside).unwrap_or_default();
        assert!(told == expected, "{name} gives something else than {}:\n{told}", beside.display());
        cases += 1;
    }
    assert!(cases > 0);
}
