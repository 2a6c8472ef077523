//! What is broken — bytes, program files, texts — is an error or a program, never a panic, a hang or a flood of memory; and
//! what the verifier has proved executes.
//!
//! `BROKEN_CASES=100000 cargo test --test broken` for a long look; a case that fails names its number, `BROKEN_FIRST=n`
//! begins with it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use wagesim::compiler::compile;
use wagesim::data::Images;
use wagesim::isa::{Instr, Memory, Sizes, decode, encode};
use wagesim::machine::{Engine, Fast, Observer, Reference, State, run};
use wagesim::network::load;
use wagesim::observe::{Statistics, TensorDump};
use wagesim::program::{Plan, Program};
use wagesim::spec::{Machine, Setting};
use wagesim::timing::Schedule;
use wagesim::train::Trainer;

/// Numbers from a seed: a case is its number.
struct Dice(u64);

impl Dice {
    fn of_case(case: u64) -> Self {
        Dice((case + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn word(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A number below `n`.
    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.word() >> 11).unwrap() % n.max(1)
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        let count = self.below(most);
        (0..count).map(|_| self.word().to_le_bytes()[0]).collect()
    }

    /// A number that is likely to lie at an edge of something.
    fn edge(&mut self) -> u64 {
        let near = self.word() % 5;
        match self.below(4) {
            0 => near,
            1 => (1u64 << self.below(64)).wrapping_add(near).wrapping_sub(2),
            2 => u64::MAX - near,
            _ => self.word() >> self.below(64),
        }
    }
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(otherwise)
}

/// Every case, each alone; the first that panics fails the test by its number.
fn cases(otherwise: u64, mut case: impl FnMut(&mut Dice)) {
    let first = number("BROKEN_FIRST", 0);
    for n in first..first + number("BROKEN_CASES", otherwise) {
        let done = catch_unwind(AssertUnwindSafe(|| case(&mut Dice::of_case(n))));
        assert!(done.is_ok(), "case {n}: BROKEN_FIRST={n} BROKEN_CASES=1");
    }
}

const SIZES: [u64; 4] = [1 << 18, 1 << 17, 1 << 17, 1 << 15];
/// Instructions of an entry, products or elements of an instruction, that a case may cost.
const MOST_WORK: u64 = 1 << 16;

/// How many instructions a program's loops execute at most, if a number can hold it.
fn executed(program: &Program) -> u64 {
    let (mut total, mut times, mut loops) = (0u64, 1u64, Vec::new());
    for instr in &program.code {
        match instr {
            Instr::Loop(l) => {
                loops.push(times);
                times = times.saturating_mul(l.count.max(1).into());
            }
            Instr::End => times = loops.pop().unwrap_or(1),
            _ => {}
        }
        total = total.saturating_add(times);
    }
    total
}

/// Products or elements of an instruction.
fn work(instr: &Instr) -> u64 {
    let product = |numbers: &[u32]| numbers.iter().fold(1u64, |p, &n| p.saturating_mul(n.into()));
    match instr {
        Instr::MTaps(m) | Instr::MPositions(m) => product(&[m.rows, m.columns, m.length]),
        Instr::VPool(i) => product(&[i.images, i.out_rows, i.out_cols, i.channels, i.window, i.window]),
        Instr::VUnpool(i) => product(&[i.images, i.height, i.width, i.channels])
            .max(product(&[i.images, i.in_rows, i.in_cols, i.channels, i.window, i.window])),
        Instr::Load(m) => product(&[m.planes, m.pad_top + m.rows + m.pad_bottom])
            .saturating_mul(u64::from(m.pad_left) + u64::from(m.bytes) + u64::from(m.pad_right)),
        Instr::Store(m) => product(&[m.planes, m.rows, m.bytes]),
        _ => 0,
    }
}

/// Proves each entry of a program and executes what was proved.
fn prove_and_execute(program: &Program) {
    let [operand, weight, accumulator, mask] = SIZES;
    let sizes: Sizes = [operand, weight, accumulator, mask, program.dram_bytes];
    for entry in program.entries.keys() {
        let Ok(plan) = Plan::new(program, entry) else { continue };
        if executed(program) > MOST_WORK {
            continue;
        }
        if plan.verify(&sizes).is_err()
            || program.dram_bytes > 1 << 24
            || plan.steps.iter().map(|s| work(&s.instr)).fold(0, u64::saturating_add) > 1 << 20
        {
            continue;
        }
        Schedule::of(&plan, &Machine::default());
        let mut state = State::new(sizes.map(|n| usize::try_from(n).unwrap()), 1);
        program.fill_dram(1, state.memory_mut(Memory::Dram));
        // A trap or a value out of range is the run's to tell.
        let _ = run(&plan, &mut Fast::new(), &mut state, &mut []);
    }
}

/// The LeNet for a batch of two, and the texts that users start from.
fn programs() -> Vec<Program> {
    let mut all: Vec<Program> =
        hand_written().iter().map(|t| Program::from_text(t, "s.s").unwrap()).collect();
    all.push(compiled());
    all
}

fn compiled() -> Program {
    let text = include_str!("../programs/quick.toml");
    let settings = [Setting::parse("recipe.batch=2").unwrap()];
    let (network, recipe, _) = load(text, "quick.toml", &settings).unwrap();
    compile(&network, &recipe, &Machine::default(), text).unwrap()
}

/// Every text in `programs/` and among the cases.
fn hand_written() -> Vec<String> {
    let mut found = Vec::new();
    for folder in ["programs", "tests/cases/assembly"] {
        for file in std::fs::read_dir(format!("{}/{folder}", env!("CARGO_MANIFEST_DIR"))).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_some_and(|e| e == "s") {
                found.push(std::fs::read_to_string(path).unwrap());
            }
        }
    }
    found.sort();
    found.retain(|text| Program::from_text(text, "s.s").is_ok());
    assert!(found.len() > 2);
    found
}

#[test]
fn random_bytes_are_instructions_or_an_error() {
    cases(5_000, |d| {
        let mut words: Vec<u64> = (0..d.below(40)).map(|_| d.word()).collect();
        // Half of them begin like an instruction, or have fields that are mostly zero.
        for word in &mut words {
            if d.one_in(2) {
                *word = *word & !0xff | u64::try_from(d.below(0x48)).unwrap();
            }
            if d.one_in(3) {
                *word &= d.word() & d.word();
            }
        }
        if let Ok(code) = decode(&words) {
            assert_eq!(encode(&code).unwrap(), words);
        }
    });
}

#[test]
fn random_bytes_are_no_program() {
    cases(5_000, |d| {
        let mut bytes = d.bytes(300);
        // A header's length that is plausible, and something like a header.
        if d.one_in(2) && bytes.len() > 8 {
            let length = u64::try_from(d.below(bytes.len())).unwrap();
            bytes[..8].copy_from_slice(&length.to_le_bytes());
            bytes[8] = b'{';
        }
        assert!(Program::from_bytes(&bytes).is_err());
    });
}

#[test]
fn a_damaged_file_is_refused() {
    let files: Vec<Vec<u8>> = programs().iter().map(|p| p.to_bytes().unwrap()).collect();
    cases(2_000, |d| {
        let file = &files[d.below(files.len())];
        let mut bytes = file.clone();
        match d.below(3) {
            0 => bytes.truncate(d.below(file.len())),
            1 => (0..=d.below(4)).for_each(|_| bytes[d.below(file.len())] ^= 1 << d.below(8)),
            _ => bytes[d.below(file.len())..].fill(d.word().to_le_bytes()[0]),
        }
        if bytes != *file {
            // Blanks within the header's JSON may be other blanks; the content is the same or refused.
            if let Ok(program) = Program::from_bytes(&bytes) {
                assert!(program == Program::from_bytes(file).unwrap());
            }
        }
    });
}

/// Changes some value in JSON.
fn change(value: &mut serde_json::Value, d: &mut Dice) {
    use serde_json::Value;
    match value {
        Value::Array(all) if !all.is_empty() && !d.one_in(6) => {
            let at = d.below(all.len());
            match d.below(12) {
                0 => drop(all.remove(at)),
                1 => all.push(all[at].clone()),
                2 => all.reverse(),
                _ => change(&mut all[at], d),
            }
        }
        Value::Object(fields) if !fields.is_empty() => {
            let key = fields.keys().nth(d.below(fields.len())).unwrap().clone();
            if let Some(field) = fields.get_mut(&key) {
                change(field, d);
            }
        }
        Value::String(text) => {
            *text = d
                .of(&["", "a", "input", "label", "layer.0.weight", "s1", "a b", "x\n.y", "\u{0}é"])
                .to_owned();
        }
        Value::Bool(flag) => *flag = !*flag,
        _ if d.one_in(3) => *value = d.edge().cast_signed().into(),
        _ => *value = d.edge().into(),
    }
}

/// A program with something else in it, as a hostile file might have it: whole, with a right digest.
fn changed(program: &Program, d: &mut Dice) -> Option<Program> {
    let mut program = program.clone();
    for _ in 0..=d.below(3) {
        let json = |value: serde_json::Result<serde_json::Value>| value.unwrap();
        match d.below(8) {
            0 | 1 => {
                let mut words = encode(&program.code).ok()?;
                for _ in 0..=d.below(3) {
                    let at = d.below(words.len());
                    match d.below(6) {
                        0 => drop(words.remove(at)),
                        1 => words.insert(at, d.word()),
                        2 => words[at] = d.edge(),
                        _ => words[at] ^= 1 << d.below(64),
                    }
                    if words.is_empty() {
                        return None;
                    }
                }
                program.code = decode(&words).ok()?;
            }
            2 | 3 => {
                let mut value = json(serde_json::to_value(&program.tensors));
                change(&mut value, d);
                program.tensors = serde_json::from_value(value).ok()?;
            }
            4 => {
                let mut value = json(serde_json::to_value(&program.probes));
                change(&mut value, d);
                program.probes = serde_json::from_value(value).ok()?;
            }
            5 => {
                let mut value = json(serde_json::to_value(&program.training));
                change(&mut value, d);
                program.training = serde_json::from_value(value).ok()?;
            }
            6 => {
                let mut value = json(serde_json::to_value(&program.marks));
                change(&mut value, d);
                program.marks = serde_json::from_value(value).ok()?;
            }
            _ => {
                let mut value = json(serde_json::to_value(&program.entries));
                change(&mut value, d);
                program.entries = serde_json::from_value(value).ok()?;
                if d.one_in(2) {
                    program.dram_bytes = d.edge();
                }
            }
        }
    }
    Some(program)
}

/// A step of a program for training, everything watched.
fn train(program: &Program, images: &Images) {
    if program.dram_bytes > 1 << 24 || executed(program) > MOST_WORK {
        return;
    }
    let scratchpads = SIZES.map(|n| usize::try_from(n).unwrap());
    let Ok(mut trainer) = Trainer::new(program, scratchpads, 1, Box::new(Fast::new())) else { return };
    let plans = trainer.plans();
    let work = plans.train.steps.iter().map(|s| work(&s.instr)).fold(0, u64::saturating_add);
    if work > 1 << 26 {
        return;
    }
    let mut dump = TensorDump::new(program);
    let mut statistics = Statistics::new(program);
    statistics.begin(1, true, true);
    let observers: &mut [&mut dyn Observer] = &mut [&mut dump, &mut statistics];
    let _ = trainer.step(&images.batch(&[0, 1], None).unwrap(), 1, 0, observers);
}

#[test]
fn a_hostile_file_is_refused_or_a_program() {
    let programs = programs();
    let images = Images::held([28, 28, 1], vec![77; 2 * 784], vec![3, 9]);
    let (mut whole, mut all) = (0u64, 0u64);
    cases(800, |d| {
        let program = &programs[d.below(programs.len())];
        all += 1;
        let Some(bytes) = changed(program, d).and_then(|p| p.to_bytes().ok()) else { return };
        let Ok(program) = Program::from_bytes(&bytes) else { return };
        whole += 1;
        let text = program.to_text();
        assert!(Program::from_text(&text, "again.s").unwrap() == program, "{text}");
        if program.training.is_some() {
            train(&program, &images);
        } else {
            prove_and_execute(&program);
        }
    });
    assert!(all < 100 || whole * 20 > all, "{whole} of {all} files were read: the changes break too much");
}

/// Something that means something in assembly.
const PIECES: [&str; 44] = [
    "halt\n",
    "end\n",
    "loop count=3\n",
    "\n",
    ":",
    "main:\n",
    ".const N = ",
    ".macro m a b=2\n",
    ".endm\n",
    "m a=1\n",
    ".reg r = s1\n",
    ".place p = operand bytes=64\n",
    ".tensor {\"name\":\"t\",\"bits\":8,\"shape\":[",
    "]}\n",
    ".phase forward 1\n",
    ".probe {}\n",
    "(",
    ")",
    "((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((",
    "-",
    "- - - -",
    "<<",
    ">>",
    "%0",
    "/0",
    "&",
    "|",
    "[",
    "]",
    "=",
    " s1",
    " s31 ",
    " x0 ",
    "sizeof(a)",
    "dim(a,",
    " 99999999999999999999999999999999999999999999999999",
    "-1",
    "0x",
    "0",
    "4294967295",
    "1099511627775",
    ";",
    "é",
    "\t\r\n",
];

/// A text with something else in it.
fn edited(text: &str, texts: &[String], d: &mut Dice) -> String {
    let mut text = text.to_owned();
    for _ in 0..=d.below(4) {
        let mut place = |text: &str| {
            let at = d.below(text.len() + 1);
            (0..=at).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
        };
        let (from, to) = (place(&text), place(&text));
        let (from, to) = (from.min(to), from.max(to));
        let line = |at: usize, text: &str| {
            let start = text[..at].rfind('\n').map_or(0, |n| n + 1);
            let end = text[at..].find('\n').map_or(text.len(), |n| at + n + 1);
            start..end
        };
        match d.below(9) {
            0 if to - from < 60 => text.replace_range(from..to, ""),
            0 | 1 => text.insert_str(from, d.of(&PIECES)),
            2 => text.replace_range(line(from, &text), ""),
            3 => {
                let moved = text[line(from, &text)].to_owned();
                text.insert_str(line(to, &text).start, &moved);
            }
            4 => {
                let other = &texts[d.below(texts.len())];
                let lines: Vec<&str> = other.split_inclusive('\n').collect();
                text.insert_str(line(to, &text).start, lines[d.below(lines.len())]);
            }
            // A number becomes another.
            5 | 6 => {
                let Some(first) = text[from..].find(|c: char| c.is_ascii_digit()).map(|n| from + n) else {
                    continue;
                };
                let length = text[first..].find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len() - first);
                text.replace_range(first..first + length, &d.edge().to_string());
            }
            // A word becomes another word of the text.
            7 => {
                let words: Vec<&str> = text.split(|c: char| !(c.is_alphanumeric() || c == '.')).collect();
                let word = words[d.below(words.len())].to_owned();
                let Some(first) = text[from..].find(|c: char| c.is_alphabetic()).map(|n| from + n) else {
                    continue;
                };
                let length = text[first..].find(|c: char| !c.is_alphanumeric()).unwrap_or(text.len() - first);
                text.replace_range(first..first + length, &word);
            }
            _ => text.truncate(if d.one_in(4) { from } else { text.len() }),
        }
    }
    text
}

#[test]
fn an_edited_text_is_a_program_or_an_error() {
    let mut texts = hand_written();
    // The texts that are wrong already, and one the compiler wrote, without its training header.
    texts.push(include_str!("cases/assembly/wrong-macros.s").to_owned());
    texts.push(include_str!("cases/assembly/wrong-uses.s").to_owned());
    let compiled = compiled().to_text();
    texts.push(
        compiled.lines().filter(|l| !l.starts_with(".training")).fold(String::new(), |t, l| t + l + "\n"),
    );
    let (mut whole, mut all) = (0u64, 0u64);
    cases(1_500, |d| {
        // The long text one time in eight.
        let at = if d.one_in(8) { texts.len() - 1 } else { d.below(texts.len() - 1) };
        let text = edited(&texts[at], &texts, d);
        all += 1;
        match Program::from_text(&text, "edited.s") {
            Ok(program) => {
                whole += 1;
                assert!(Program::from_text(&program.to_text(), "again.s").unwrap() == program, "{text}");
                assert!(Program::from_bytes(&program.to_bytes().unwrap()).unwrap() == program, "{text}");
                prove_and_execute(&program);
            }
            Err(errors) => {
                let lines = text.split_inclusive('\n').count().max(1);
                for error in errors.all() {
                    assert!((1..=lines + 1).contains(&error.error.line), "{errors}\n{text}");
                    assert!(error.error.hint.is_some(), "{errors}");
                }
                assert!(!errors.to_string().is_empty());
            }
        }
    });
    assert!(all < 100 || whole * 20 > all, "{whole} of {all} texts were read: the edits break too much");
}

#[test]
fn two_tensors_of_one_name_make_no_file() {
    let text = "\
.tensor {\"name\":\"a\",\"bits\":8,\"shape\":[1],\"initial\":{\"values\":[1]}}
.tensor {\"name\":\"b\",\"bits\":8,\"shape\":[1],\"initial\":{\"values\":[2]}}
main:
    halt
";
    let mut program = Program::from_text(text, "twice.s").unwrap();
    program.tensors[1].name = "a".to_owned();
    assert!(program.to_bytes().unwrap_err().contains("twice"));
}

#[test]
fn windows_far_apart_take_no_more_memory_than_their_products() {
    // Two positions in two rows of 16,383, two taps of 262,144 channels: four products, and a box of 4 TB around them.
    let text = "\
main:
    mode dst=m0 bits=32 overflow=trap outer_bits=32
    v.fill dst=operand[0] dst_format=8 value=3 count=262144
    v.fill dst=weight[0] dst_format=8 value=5 count=4096
    m.taps out=accumulator[0] out_format=32 left=operand[0] left_format=8 right=weight[0] right_format=8 mode=m0 \
out_rows=2 out_cols=16383 tap_rows=2 tap_cols=2 channels=262144 first_row=16382 rows=2 first_k=262143 length=2 \
columns=1 height=16383 width=16383 step_x=31 step_y=31 dilate_y=31 out_stride=1
    halt
";
    let program = Program::from_text(text, "far.s").unwrap();
    let plan = Plan::new(&program, "main").unwrap();
    let [operand, weight, accumulator, mask] = SIZES;
    plan.verify(&[operand, weight, accumulator, mask, 0]).unwrap();
    let executed = |engine: &mut dyn Engine| {
        let sizes = [operand, weight, accumulator, mask, 0].map(|n| usize::try_from(n).unwrap());
        let mut state = State::new(sizes, 1);
        run(&plan, engine, &mut state, &mut []).unwrap();
        state
    };
    assert!(executed(&mut Fast::new()) == executed(&mut Reference::new()));
}
