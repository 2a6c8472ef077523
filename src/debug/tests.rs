use super::*;
use crate::machine::Reference;
use crate::program::{Plan, Program};
use crate::spec::Machine;

const TEXT: &str = "main:\n x.set dst=x1 value=-3\n loop count=2\n v.fill dst=operand[0] dst_format=8 count=4 value=5\n end\n v.fill dst=operand[16] dst_format=8 count=4 value=-1\n halt\n";

/// What each line came to, in one session.
fn talk(lines: &[&str]) -> Vec<Reply> {
    let program = Program::from_text(TEXT, "debug.s").unwrap();
    let (plan, machine) = (Plan::new(&program, "main").unwrap(), Machine::default());
    let table = Timetable::new(&program, &machine, &plan, &machine.energy);
    let mut state = State::new([64, 64, 64, 64, 64], 1);
    let mut session = Session::new(&table, Box::new(Reference::new()));
    lines.iter().map(|line| session.line(line, &mut state)).collect()
}

/// The last line's text.
fn told(lines: &[&str]) -> String {
    match talk(lines).pop().unwrap() {
        Reply::Text(text) | Reply::Wrong(text) => text,
        Reply::Quit => "quit".to_owned(),
    }
}

#[test]
fn instructions_are_executed_as_far_as_said() {
    let text = told(&["step"]);
    assert!(text.contains("v.fill dst=operand[0x0]") && text.contains("round 0 of 2"), "{text}");
    assert!(told(&["s 2"]).contains("round 1 of 2"));
    assert!(told(&["run"]).starts_with("the end: 4 instructions"));
    assert!(told(&["run seq 3"]).contains("operand[0x10]"));
    assert!(
        told(&["run pc 2"]).contains("round 0 of 2") && told(&["run pc 2", "run pc 2"]).contains("round 1")
    );
    assert!(told(&["run cycle 3"]).contains("     2  "));
    assert_eq!(
        told(&["run", "history 1"]).trim(),
        "3      4  v.fill dst=operand[0x10] dst_format=8 value=-1 count=4"
    );
}

#[test]
fn points_stop_where_they_stand() {
    let text = told(&["break pc 4", "run"]);
    assert!(text.contains("operand[0x10]"), "{text}");
    let text = told(&["watch operand[0x12..0x14]", "run"]);
    assert!(text.starts_with("1: instruction 3 wrote operand[0x12..0x14]"), "{text}");
    let text = told(&["watch operand[2]", "break seq 2", "delete 1", "points"]);
    assert_eq!(text, "2: before instruction 2\n");
    assert!(told(&["delete 7"]).contains("no point has number 7"));
}

#[test]
fn memories_and_registers_are_shown_in_three_forms() {
    let all = ["run"];
    let told = |line| told(&[&all[..], &[line]].concat());
    assert_eq!(told("print operand[0] 8 4"), "operand[0x0] 5 5 5 5\n");
    assert_eq!(told("print operand[16] 8 2 bits"), "operand[0x10] 11111111 11111111\n");
    assert_eq!(told("print operand[0] 8 1 values"), "operand[0x0] 0.0390625\n");
    assert_eq!(told("print operand[16] 8 2 unsigned"), "operand[0x10] 255 255\n");
    assert_eq!(told("registers"), "x1   -3\n");
    assert!(told("print operand[60] 8 5").contains("leaves operand, which has 64 bytes"));
}

#[test]
fn a_line_that_means_nothing_is_told() {
    for (line, what) in [
        ("stepp", "did you mean `step`"),
        ("step x", "no number"),
        ("run phase later", "no phase `later`"),
        ("watch operand[4..4]", "holds no byte"),
        ("watch opperand[4]", "no memory"),
        ("tensor a", "no tensor `a`"),
        ("print operand[0] 65 1", "1 to 64 bits"),
    ] {
        let text = told(&[line]);
        assert!(text.contains(what), "{line}: {text}");
    }
    assert_eq!(talk(&["# nothing", "quit"]), [Reply::Text(String::new()), Reply::Quit]);
    assert!(told(&["help"]).contains("break WHERE"));
}
