//! What must hold of any program, wherever it came from: names, ranges, sizes. What its instructions touch is the
//! verifier's.

use super::{Initial, Probe, Program, Tensor, Training, Yield};
use crate::isa::{Counter, Instr, Scale};

/// What is wrong with a program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProgramError {
    /// Two tensors of one name.
    #[error("tensor `{0}` stands twice; give one of them another name")]
    TensorTwice(String),
    /// A tensor that does not lie in DRAM.
    #[error("tensor `{name}` ends at byte {end} of a DRAM of {dram_bytes}; move it or raise dram_bytes")]
    TensorOutside {
        /// The tensor.
        name: String,
        /// First byte behind it.
        end: u128,
        /// Bytes of DRAM.
        dram_bytes: u64,
    },
    /// A tensor whose shape, initial values or probes mean nothing.
    #[error("tensor `{name}`: {what}")]
    Tensor {
        /// The tensor.
        name: String,
        /// What is wrong.
        what: String,
    },
    /// More DRAM than a program may have.
    #[error("the program needs {0} bytes of DRAM; at most 2^36 can be had")]
    TooMuchDram(u64),
    /// An entry, mark or probe that points at no instruction.
    #[error("{what} points at instruction {pc} of {length}")]
    NoInstruction {
        /// What points.
        what: String,
        /// Where to.
        pc: usize,
        /// Instructions there are.
        length: usize,
    },
    /// Marks or probes out of order.
    #[error("the {what} at instruction {pc} stands behind a later one")]
    Order {
        /// Which.
        what: &'static str,
        /// Where.
        pc: usize,
    },
    /// Loops that do not match.
    #[error("instruction {pc}: {what}")]
    Loop {
        /// The `loop` or `end`.
        pc: usize,
        /// What is wrong.
        what: &'static str,
    },
    /// An entry whose name text cannot hold.
    #[error("entry `{0}`: a name is letters, digits, `_` and `-`")]
    EntryName(String),
    /// What the host would do with it to train has no meaning.
    #[error("training: {0}")]
    Training(String),
    /// Nothing to execute.
    #[error("the program has no entry; begin one with a label, as `main:`")]
    NoEntry,
}

/// Bytes of DRAM a program may have.
const MOST_DRAM: u64 = 1 << 36;
/// Elements a tensor may have; no index or stride is beyond.
const MOST_ELEMENTS: u64 = 1 << 42;
/// Elements of a tensor that only probes know: a dump holds all of them.
const MOST_PROBED: u64 = 1 << 28;

type Checked = Result<(), ProgramError>;

/// How many elements these lengths make, if no more than a tensor may have.
fn elements(lengths: &[u64]) -> Option<u64> {
    let product = lengths.iter().try_fold(1u64, |product, &length| product.checked_mul(length));
    product.filter(|&n| n <= MOST_ELEMENTS)
}

impl Program {
    /// Proves what must hold of any program.
    ///
    /// # Errors
    /// The first thing that does not hold.
    pub fn check(&self) -> Checked {
        if self.dram_bytes > MOST_DRAM {
            return Err(ProgramError::TooMuchDram(self.dram_bytes));
        }
        if self.entries.is_empty() {
            return Err(ProgramError::NoEntry);
        }
        self.tensors.iter().try_for_each(|tensor| self.check_tensor(tensor))?;
        let mut names = std::collections::BTreeSet::new();
        if let Some(twice) = self.tensors.iter().find(|t| !names.insert(&t.name)) {
            return Err(ProgramError::TensorTwice(twice.name.clone()));
        }
        for (name, &pc) in &self.entries {
            if !Program::is_entry_name(name) {
                return Err(ProgramError::EntryName(name.clone()));
            }
            self.points(&|| format!("entry `{name}`"), pc)?;
        }
        self.check_loops()?;
        self.probes.iter().try_for_each(|probe| self.check_probe(probe))?;
        self.marks.iter().try_for_each(|mark| self.points(&|| "a mark".to_owned(), mark.pc))?;
        in_order("mark", self.marks.iter().map(|m| m.pc))?;
        in_order("probe", self.probes.iter().map(|p| p.pc))?;
        self.training.as_ref().map_or(Ok(()), |training| self.check_training(training))
    }

    fn points(&self, what: &dyn Fn() -> String, pc: usize) -> Checked {
        let length = self.code.len();
        if pc < length { Ok(()) } else { Err(ProgramError::NoInstruction { what: what(), pc, length }) }
    }

    fn check_loops(&self) -> Checked {
        let mut open = Vec::new();
        for (pc, instr) in self.code.iter().enumerate() {
            match instr {
                Instr::Loop(_) => open.push(pc),
                Instr::End if open.pop().is_none() => {
                    return Err(ProgramError::Loop { pc, what: "`end` without a `loop`" });
                }
                _ => {}
            }
        }
        match open.pop() {
            Some(pc) => Err(ProgramError::Loop { pc, what: "`loop` without an `end`" }),
            None => Ok(()),
        }
    }

    fn check_tensor(&self, tensor: &Tensor) -> Checked {
        let name = || tensor.name.clone();
        let refuse = |what: String| Err(ProgramError::Tensor { name: name(), what });
        let Some(elements) = elements(&tensor.shape) else {
            return refuse(format!("its shape has too many elements; at most {MOST_ELEMENTS} can be had"));
        };
        let bits = u128::from(elements) * u128::from(tensor.format.bits());
        let end = u128::from(tensor.address) + bits.div_ceil(8);
        if end > self.dram_bytes.into() {
            return Err(ProgramError::TensorOutside { name: name(), end, dram_bytes: self.dram_bytes });
        }
        let whole_bytes = tensor.format.bits().is_multiple_of(8);
        match &tensor.initial {
            Initial::Zero => Ok(()),
            _ if !whole_bytes => refuse("only elements of whole bytes have initial values".to_owned()),
            Initial::Values(values) if values.len() as u64 != elements => {
                refuse(format!("{} initial values for {elements} elements", values.len()))
            }
            Initial::Drawn { bits, shift, .. } if !(2..=32).contains(bits) || *shift > 31 => {
                refuse("weights are drawn with 2 to 32 bits, shifted by at most 31".to_owned())
            }
            Initial::Drawn { first, .. } if *first > MOST_ELEMENTS => {
                refuse(format!("weights are drawn from words up to number {MOST_ELEMENTS}"))
            }
            Initial::Values(_) | Initial::Drawn { .. } => Ok(()),
        }
    }

    fn check_probe(&self, probe: &Probe) -> Checked {
        self.points(&|| format!("a probe of `{}`", probe.tensor), probe.pc)?;
        let refuse =
            |what: &str| Err(ProgramError::Tensor { name: probe.tensor.clone(), what: what.to_owned() });
        if probe.extents.len() > 4 || probe.strides.len() != probe.extents.len() {
            return refuse("a probe has up to four extents, and a stride for each");
        }
        let steps = probe.loops.iter().chain(&probe.strides).chain([&probe.origin]);
        let (Some(extent), true) =
            (elements(&probe.extents), steps.clone().all(|n| n.unsigned_abs() <= MOST_ELEMENTS))
        else {
            return refuse("a probe's extents, strides and origin are at most 2^42");
        };
        if elements(&probe.shape).is_none_or(|n| n > MOST_PROBED) {
            return refuse("a probed tensor has at most 2^28 elements");
        }
        match yielded(&self.code[probe.pc], probe.what).filter(|&n| extent > n) {
            Some(_) => refuse("a probe has more elements than its instruction writes"),
            None => Ok(()),
        }
    }

    fn check_training(&self, training: &Training) -> Checked {
        let refuse = |what: &str| Err(ProgramError::Training(what.to_owned()));
        let counters = [training.loss_counter, training.first_counter, training.ties_counter];
        if counters.iter().any(|&c| c >= Counter::COUNT) || training.learning_rate_scale >= Scale::COUNT {
            return refuse("it names a counter or scale register that is not there");
        }
        if training.batch == 0 || training.loss_shift > 64 {
            return refuse("a batch is at least 1 image, a loss shift at most 64 bits");
        }
        let bytes = |name: &str| self.tensor(name).map(Tensor::bytes);
        let batch = u64::from(training.batch);
        let images = batch.checked_mul(training.image_bytes);
        if bytes("input").is_some_and(|n| Some(n) != images) || bytes("label").is_some_and(|n| n != 2 * batch)
        {
            return refuse("`input` is a batch of images and `label` 16 bits for each of them");
        }
        Ok(())
    }
}

fn in_order(what: &'static str, pcs: impl Iterator<Item = usize> + Clone) -> Checked {
    match pcs.clone().zip(pcs.skip(1)).find(|(pc, next)| pc > next) {
        Some((pc, _)) => Err(ProgramError::Order { what, pc }),
        None => Ok(()),
    }
}

/// Elements of an instruction that a probe means; none where there are none, whatever the probe says.
fn yielded(instr: &Instr, what: Yield) -> Option<u64> {
    let product = |a: u32, b: u32| u64::from(a) * u64::from(b);
    Some(match (instr, what) {
        (Instr::MTaps(m) | Instr::MPositions(m), Yield::Output) => product(m.rows, m.columns),
        (Instr::VShift(i), Yield::Output | Yield::Source) => i.count.into(),
        (Instr::VLookup(i), Yield::Output) => i.count.into(),
        (Instr::VStochastic(i), Yield::Output | Yield::Random) => i.count.into(),
        (Instr::VSub(i), Yield::Output) => i.count.into(),
        (Instr::VOnehot(i), Yield::Output) => product(i.rows, i.columns),
        (Instr::VOnehot(i), Yield::Labels) => i.rows.into(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use crate::isa::Instr;
    use crate::program::{Class, Initial, Plan, Probe, Program, Training, Yield};

    const TEXT: &str = "\
.tensor {\"name\":\"a\",\"bits\":8,\"shape\":[4,4]}
main:
    loop count=3
        v.fill dst=operand[0] dst_format=8 count=4
    end
    halt
";

    fn program() -> Program {
        Program::from_text(TEXT, "check.s").unwrap()
    }

    fn probe(pc: usize) -> Probe {
        let (tensor, shape) = ("a".to_owned(), vec![16]);
        let (origin, loops, extents, strides) = (0, vec![4], vec![4], vec![1]);
        Probe { pc, tensor, shape, what: Yield::Output, origin, loops, extents, strides, class: Class::None }
    }

    /// A program that was changed is refused with these words.
    fn refused(change: impl FnOnce(&mut Program), words: &str) {
        let mut program = program();
        change(&mut program);
        let error = program.check().expect_err(words).to_string();
        assert!(error.contains(words), "{error}");
    }

    #[test]
    fn loops_close_what_they_open() {
        refused(|p| p.code.truncate(2), "`loop` without an `end`");
        refused(|p| p.code[0] = Instr::Nop, "`end` without a `loop`");
    }

    #[test]
    fn entries_have_names_that_text_can_hold() {
        for name in ["", "a b", "x\n", "é"] {
            refused(|p| p.entries.extend([(name.to_owned(), 0)]), "letters, digits");
        }
    }

    #[test]
    fn probes_stand_in_the_order_of_their_instructions() {
        refused(|p| p.probes = vec![probe(1), probe(0)], "behind a later one");
    }

    #[test]
    fn a_shape_is_counted_without_overflow_even_where_one_length_is_zero() {
        refused(|p| p.tensors[0].shape = vec![1 << 63, 2, 0], "too many elements");
    }

    #[test]
    fn drawn_weights_have_numbers_a_stream_holds() {
        let drawn = Initial::Drawn { first: u64::MAX - 3, limit: 1, bits: 2, shift: 0 };
        refused(|p| p.tensors[0].initial = drawn, "drawn");
    }

    #[test]
    fn a_probe_beyond_every_tensor_is_refused() {
        refused(|p| p.probes = vec![Probe { origin: i64::MAX, ..probe(1) }], "2^42");
        refused(|p| p.probes = vec![Probe { loops: vec![i64::MAX], ..probe(1) }], "2^42");
        refused(|p| p.probes = vec![Probe { strides: vec![i64::MIN], ..probe(1) }], "2^42");
        refused(|p| p.probes = vec![Probe { extents: vec![1 << 50], ..probe(1) }], "2^42");
    }

    #[test]
    fn a_probe_has_no_more_elements_than_its_instruction_writes() {
        let shift = "    v.shift dst=operand[0] dst_format=8 src=operand[0] src_format=8 bits=8 count=3\n";
        let text = TEXT.replace("    halt", &(shift.to_owned() + "    halt"));
        let mut program = Program::from_text(&text, "check.s").unwrap();
        program.probes = vec![probe(3)];
        assert!(program.check().unwrap_err().to_string().contains("than its instruction writes"));
        program.probes[0].extents = vec![3];
        program.check().unwrap();
    }

    #[test]
    fn what_the_host_does_to_train_has_a_meaning() {
        let training = || Training {
            batch: 4,
            image_bytes: 4,
            classes: 2,
            learning_rate_scale: 1,
            max_lr_log2: 0,
            loss_counter: 0,
            loss_shift: 8,
            first_counter: 1,
            ties_counter: 2,
            layers: Vec::new(),
            header: serde_json::Value::Null,
            source: String::new(),
            machine: String::new(),
        };
        let with = |change: fn(&mut Training), words: &str| {
            let mut changed = training();
            change(&mut changed);
            refused(|p| p.training = Some(changed), words);
        };
        with(|t| t.batch = 0, "batch");
        with(|t| t.learning_rate_scale = 16, "register");
        with(|t| t.ties_counter = 8, "counter");
        with(|t| t.loss_shift = 1 << 30, "loss shift");
        refused(
            |p| {
                p.training = Some(training());
                p.tensors[0].name = "label".to_owned();
            },
            "16 bits",
        );
        let mut whole = program();
        whole.tensors[0].name = "input".to_owned();
        whole.training = Some(training());
        whole.check().unwrap();
    }

    #[test]
    fn a_probe_moved_by_many_rounds_has_a_plan_or_an_error() {
        let mut program = program();
        let text = TEXT.replace("count=3", "count=70000");
        program.code = Program::from_text(&text, "check.s").unwrap().code;
        program.probes = vec![Probe { loops: vec![1 << 42], ..probe(1) }];
        program.check().unwrap();
        let _ = Plan::new(&program, "main");
    }

    #[test]
    fn a_plan_is_refused_before_it_fills_memory() {
        let text = TEXT.replace("count=3", "count=4000000000");
        let program = Program::from_text(&text, "check.s").unwrap();
        let error = Plan::new(&program, "main").unwrap_err().to_string();
        assert!(error.contains("shorten its loops"), "{error}");
        assert!(error.contains("4194304"), "{error}");
    }
}
