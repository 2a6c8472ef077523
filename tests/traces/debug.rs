//! The debugger as a script drives it.

use crate::common::{SMALL, here, ok, refused};

#[test]
fn a_script_runs_a_program_and_looks_at_it() {
    let dir = tempfile::tempdir().unwrap();
    let script = "# to the shift\nbreak pc 7\nrun\nregisters\nprint accumulator[0] 32 2 bits\nrun\ntensor codes 3 values\nquit\nnot reached\n";
    std::fs::write(dir.path().join("look.txt"), script).unwrap();
    let program = here("programs/requantise-product.s");
    let text = ok(dir.path(), &["debug", &program, "--zeros", "--script", "look.txt"]);
    assert!(text.contains("1: before pc 7") && text.contains("v.shift"), "{text}");
    assert!(text.contains("accumulator[0x0] 00000000000000000000000000000000"), "{text}");
    assert!(text.contains("the end: ") && !text.contains("not reached"), "{text}");
    std::fs::write(dir.path().join("wrong.txt"), "step\nprint operand[0] 8\n").unwrap();
    let error = refused(dir.path(), 2, &["debug", &program, "--zeros", "--script", "wrong.txt"]);
    assert!(error.contains("wrong.txt: line 2: print takes a place"), "{error}");
    let error =
        refused(dir.path(), 2, &["debug", &program, "--zeros", "--step", "2", "--script", "look.txt"]);
    assert!(error.contains("does not train"), "{error}");
}

#[test]
fn an_overflow_of_a_training_step_is_found() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("s"), "run overflow\nhistory 1\nregisters\n").unwrap();
    let narrow = ["--set", "accumulators.bits=10", "--set", "accumulators.overflow=wrap"];
    let text = ok(dir.path(), &[&["debug", "--step", "2", "--script", "s"][..], &SMALL, &narrow].concat());
    assert!(
        text.contains("an accumulator left its range, first at row") && text.contains("m.taps"),
        "{text}"
    );
    assert!(text.contains("x") && text.contains("from cycle"), "{text}");
}
