//! Strands of a plan side by side do what the plan does in order.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::test_runner::Config;
use wagesim::compiler::compile;
use wagesim::isa::{Footprint, Instr, Memory, Range, Registers, verify};
use wagesim::machine::{Engine, Extension, Fast, Observer, Outcome, Reference, State, run};
use wagesim::network::load;
use wagesim::number::AccumulatorRule;
use wagesim::program::{Contents, Plan, Strands};
use wagesim::spec::Machine;

use super::cases;
use super::dice::Dice;
use super::instructions::{case, step};
use super::windows::{gradients, halves, tiles};

/// The outcomes an observer that does not look at the state is told of.
#[derive(Default)]
struct Told(Vec<(u32, Outcome)>);

impl Observer for Told {
    fn looks(&self) -> bool {
        false
    }

    fn executed(&mut self, plan: &Plan, step: usize, outcome: &Outcome, _: &State) {
        let step = &plan.steps[step];
        self.0.push((step.pc, *outcome));
    }
}

fn plan(steps: &[(Instr, AccumulatorRule)]) -> Plan {
    let steps = (0u32..).zip(steps).map(|(pc, &(instr, rule))| step(pc, instr, rule)).collect();
    Plan { entry: "main".to_owned(), steps, probes: Vec::new(), control_after: 0 }
}

/// Holds that every step is in a strand; that of two steps of different strands that meet in DRAM, one writing, the younger's strand
/// begins after the older's end; and that a strand that reads what another writes in a register begins after its beginning.
fn over_before(plan: &Plan, strands: &Strands) -> Result<(), TestCaseError> {
    let all = strands.all();
    // Which strands are over, and which have begun, when each begins, for certain.
    let mut over = vec![vec![false; all.len()]; all.len()];
    let mut begun = over.clone();
    let mut comes_after = vec![0; all.len()];
    let include = |known: &mut Vec<Vec<bool>>, later: usize, earlier: usize| {
        let earlier = known[earlier].clone();
        known[later].iter_mut().zip(earlier).for_each(|(later, earlier)| *later |= earlier);
    };
    for (number, strand) in all.iter().enumerate() {
        for (later, is_over) in [(&strand.once_begun, false), (&strand.once_ended, true)] {
            for &later in later {
                prop_assert!(later > number, "{} comes after {}", later, number);
                include(&mut over, later, number);
                include(&mut begun, later, number);
                begun[later][number] = true;
                over[later][number] |= is_over;
                comes_after[later] += 1;
            }
        }
        prop_assert_eq!(strand.comes_after, comes_after[number]);
    }
    let footprints: Vec<Footprint> = plan.steps.iter().map(|s| Footprint::of(&s.instr)).collect();
    let dram = |f: &Footprint| {
        let dram = |ranges: &[Range]| ranges.iter().copied().filter(|r| r.memory == Memory::Dram).collect();
        let none = Registers::default();
        Footprint {
            reads: dram(&f.reads),
            writes: dram(&f.writes),
            registers_read: none,
            registers_written: none,
        }
    };
    // The steps that wrote the registers that a step reads, or gathered in them; steps that gather, as long as nobody has read
    // what they do, change places.
    let mut writers = vec![(Vec::new(), Vec::new(), false); Registers::COUNT];
    let mut wrote = Vec::new();
    for (step, footprint) in footprints.iter().enumerate() {
        let gathers =
            matches!(plan.steps[step].instr, Instr::VMaxabs(_) | Instr::VSumsq(_) | Instr::VArgmax(_));
        let mut before: Vec<usize> = Vec::new();
        for place in footprint.registers_read.places() {
            let (writer, gatherers, is_read) = &mut writers[place];
            before.extend(&*writer);
            if gathers && !*is_read {
                gatherers.push(step);
            } else {
                before.extend(&*gatherers);
                *is_read = true;
            }
        }
        for place in footprint.registers_written.places() {
            if !gathers || writers[place].2 {
                writers[place] = (vec![step], Vec::new(), false);
            }
        }
        wrote.push(before);
    }
    let meet = |a: &Footprint, b: &Footprint| a.after_writes_of(b) || a.after_reads_of(b);
    let mut executed = vec![false; plan.steps.len()];
    for (a, younger) in all.iter().enumerate() {
        prop_assert!(younger.steps.is_sorted());
        for &step in &younger.steps {
            executed[step] = true;
            for (b, older) in all.iter().enumerate().filter(|(b, _)| *b != a) {
                for &before in older.steps.iter().filter(|&&before| before < step) {
                    let (this, other) = (&footprints[step], &footprints[before]);
                    if meet(&dram(this), &dram(other)) {
                        prop_assert!(over[a][b], "{} and {}", before, step);
                    }
                    if wrote[step].contains(&before) {
                        prop_assert!(begun[a][b], "{} and {}", before, step);
                    }
                }
            }
        }
    }
    prop_assert!(executed.into_iter().all(|executed| executed));
    Ok(())
}

/// Holds that threads leave what one does that executes the steps in order, if these are valid, and tell the same.
fn side_by_side_as_in_order(
    seed: u64,
    (state, steps): (State, Vec<(Instr, AccumulatorRule)>),
) -> Result<(), TestCaseError> {
    let sizes = Memory::ALL.map(|memory| state.memory(memory).len() as u64);
    prop_assume!(steps.iter().all(|(instr, _)| verify(instr, &sizes) == Ok(())));
    let plan = plan(&steps);
    over_before(&plan, &Strands::of(&plan))?;
    let mut expected = state.clone();
    let mut told = Told::default();
    let ended = run(&plan, &mut Fast::with(Extension::chosen(), 1), &mut expected, &mut [&mut told]);
    for threads in 2..=3 {
        let mut engine = Fast::with(Extension::chosen(), threads).sharing_all();
        for _ in 0..2 {
            let (mut found, mut told_now) = (state.clone(), Told::default());
            prop_assert_eq!(&run(&plan, &mut engine, &mut found, &mut [&mut told_now]), &ended);
            prop_assert_eq!(&told_now.0, &told.0);
            for memory in Memory::ALL {
                let (a, b) = (found.memory(memory), expected.memory(memory));
                let first = a.iter().zip(b).position(|(a, b)| a != b).filter(|_| ended.is_ok());
                prop_assert_eq!(first, None, "seed {}, {} threads, {}", seed, threads, memory.name());
            }
            let registers = |state: &State| (state.scales, state.counters);
            prop_assert!(ended.is_err() || registers(&found) == registers(&expected), "seed {}", seed);
        }
    }
    Ok(())
}

// Whole plans several times take longer.
proptest! {
    #![proptest_config(Config { cases: cases() / 5, failure_persistence: None, max_shrink_iters: 0, ..Config::default() })]

    #[test]
    fn strands_side_by_side_do_what_the_plan_does_in_order(seed in any::<u64>(), groups in 1usize..20) {
        let (state, steps) = case(seed, groups);
        let plan = plan(&steps);
        let executed = |engine: &mut dyn Engine, state: &mut State| {
            let mut told = Told::default();
            (run(&plan, engine, state, &mut [&mut told]), told.0)
        };
        let mut expected = state.clone();
        let ended = executed(&mut Reference::new(), &mut expected);
        for threads in 2..=3 {
            let mut engine = Fast::with(Extension::chosen(), threads).sharing_all();
            // Once more: what threads keep of a run is not seen in the next.
            for _ in 0..2 {
                let mut found = state.clone();
                prop_assert_eq!(&executed(&mut engine, &mut found), &ended);
                prop_assert!(ended.0.is_err() || found == expected, "seed {}, {} threads", seed, threads);
            }
        }
    }

    #[test]
    fn tiles_that_find_the_same_do_what_the_plan_does_in_order(seed in 1u64..) {
        side_by_side_as_in_order(seed, tiles(&mut Dice(seed)))?;
    }

    #[test]
    fn gradients_abreast_do_what_the_plan_does_in_order(seed in 1u64..) {
        side_by_side_as_in_order(seed, gradients(&mut Dice(seed)))?;
    }

    #[test]
    fn halves_of_reductions_do_what_the_plan_does_in_order(seed in 1u64..) {
        side_by_side_as_in_order(seed, halves(&mut Dice(seed)))?;
    }

    #[test]
    fn a_strand_is_over_before_one_that_meets_it_begins(seed in any::<u64>(), groups in 1usize..20) {
        let plan = plan(&case(seed, groups).1);
        over_before(&plan, &Strands::of(&plan))?;
    }
}

#[test]
fn most_gradients_go_abreast_with_others_of_their_columns_and_taps() {
    let go_abreast = |seed: &u64| {
        let (_, steps) = gradients(&mut Dice(seed * 7919));
        let strands = Strands::of(&plan(&steps));
        let abreast = strands.families().iter().filter(|family| family.goes_abreast);
        let found = |strand: usize, of: fn(&Contents) -> Option<usize>| -> BTreeSet<usize> {
            let steps = strands.all()[strand].steps.iter();
            steps.filter_map(|&step| of(&strands.touched(step).contents)).collect()
        };
        let mut differ = [false; 2];
        for family in abreast {
            let [first, last] = [family.strands.first(), family.strands.last()].map(|s| *s.unwrap());
            differ[0] |= found(first, |contents| contents.left) != found(last, |contents| contents.left);
            differ[1] |= found(first, |contents| contents.right) != found(last, |contents| contents.right);
        }
        differ
    };
    // Whether some go abreast that find other left operands, and other right ones.
    let found: Vec<[bool; 2]> = (1..100).map(|seed| go_abreast(&seed)).collect();
    let times = [0, 1].map(|operand| found.iter().filter(|differ| differ[operand]).count());
    assert!(times.iter().all(|&n| n > 40), "{times:?}");
}

#[test]
fn most_halves_may_be_summed_together() {
    let may_be = |seed: &u64| {
        let (_, steps) = halves(&mut Dice(seed * 7919));
        let strands = Strands::of(&plan(&steps));
        strands.steps().any(|step| strands.touched(step).other_half.is_some())
    };
    assert!((1..100).filter(may_be).count() > 50);
}

/// A training step is shared well: strands are many, and the longest way through them is short.
#[test]
fn a_training_step_is_many_strands() {
    for text in [
        include_str!("../../programs/lenet5-mnist.toml"),
        include_str!("../../programs/vgg7-cifar10.toml"),
        include_str!("../../programs/alexnet-imagenet.toml"),
    ] {
        let (network, recipe, _) = load(text, "net", &[]).unwrap();
        let program = compile(&network, &recipe, &Machine::default(), text).unwrap();
        let plan = Plan::new(&program, "train").unwrap();
        let strands = Strands::of(&plan);
        let longest = strands.urgency(&vec![1; plan.steps.len()]).into_iter().max().unwrap();
        assert!(strands.all().len() > 500 && longest * 10 < plan.steps.len() as u64);
    }
}
