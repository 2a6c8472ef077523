//! Observers on whole programs: what they count is what the network says.

use wagesim::compiler::compile;
use wagesim::data::Images;
use wagesim::isa::Unit;
use wagesim::machine::{Extension, Fast};
use wagesim::network::load;
use wagesim::observe::{Event, Ledger, LedgerCounts, Statistics, StatisticsLine, Tally};
use wagesim::program::{Phase, Plan, Program};
use wagesim::report::{Estimate, estimate};
use wagesim::spec::{self, Machine, Setting};
use wagesim::train::Trainer;

fn counted(machine: &Machine) -> Vec<(Phase, Tally, wagesim::network::Products)> {
    let text = include_str!("../programs/lenet5-mnist.toml");
    let batch = Setting::parse("recipe.batch=4").unwrap();
    let (network, recipe, _) = load(text, "lenet5-mnist.toml", &[batch]).unwrap();
    let program = compile(&network, &recipe, machine, text).unwrap();
    let plan = Plan::new(&program, "train").unwrap();
    let mut ledger = Ledger::new(&plan, machine);
    ledger.count_pass(&plan);
    let tallies = ledger.tallies();
    let phases = [
        (Phase::Forward, spec::Phase::Forward),
        (Phase::Error, spec::Phase::Error),
        (Phase::Gradient, spec::Phase::Gradient),
    ];
    let sum = |phase| {
        let mut sum = Tally::default();
        tallies.iter().filter(|((p, _), _)| *p == phase).for_each(|(_, t)| sum.add(t));
        sum
    };
    phases.map(|(phase, of_array)| (phase, sum(phase), network.products(of_array))).to_vec()
}

#[test]
fn products_are_the_networks_on_any_machine() {
    for machine in ["default", "tiny-16k", "large-4m"] {
        let path = format!("{}/programs/machines/{machine}.toml", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&path).unwrap();
        let machine = Machine::from_toml(&text, &path, &[]).unwrap();
        for (phase, tally, expected) in counted(&machine) {
            assert_eq!(tally.products, 4 * expected.all, "{phase:?} on {}", machine.name);
            assert_eq!(tally.useful_products, 4 * expected.useful, "{phase:?} on {}", machine.name);
            let array = &machine.array;
            let busy = tally.account.unit(Unit::Array).busy;
            assert!(tally.useful_products < busy * u64::from(array.rows) * u64::from(array.columns));
        }
    }
}

/// The LeNet estimated on a machine with these settings.
fn estimated(sets: &[&str]) -> Estimate {
    let text = include_str!("../programs/lenet5-mnist.toml");
    let batch = Setting::parse("recipe.batch=4").unwrap();
    let (network, recipe, _) = load(text, "lenet5-mnist.toml", &[batch]).unwrap();
    let sets: Vec<Setting> = sets.iter().map(|s| Setting::parse(s).unwrap()).collect();
    let machine = Machine::from_toml("", "m", &sets).unwrap();
    let program = compile(&network, &recipe, &machine, text).unwrap();
    estimate(&program, &machine, &machine.energy).unwrap()
}

#[test]
fn energies_of_components_phases_and_layers_are_the_totals() {
    let close = |a: f64, b: f64, what: &str| assert!((a - b).abs() <= 1e-9 * b.abs(), "{what}: {a}, {b}");
    for sets in [
        &["energy={base=\"horowitz45\",leakage={pj_per_cycle=3,source=\"a guess\"}}"][..],
        &["array.dataflow=weight-stationary", "accumulators.overflow=saturate"],
    ] {
        let e = estimated(sets);
        for (component, &pj) in &e.totals.component_pj {
            let phases: f64 = e.phases.iter().filter_map(|p| p.component_pj.get(component)).sum();
            close(phases, pj, component.name());
            let layers: f64 = e.layers.iter().filter_map(|l| l.component_pj.get(component)).sum();
            let none = e.events.iter().filter(|v| v.layer.is_none() && v.component == *component);
            close(layers + none.map(|v| v.energy_pj).sum::<f64>(), pj, component.name());
        }
        close(e.totals.component_pj.values().sum(), e.totals.energy_pj, "components");
        close(e.phases.iter().map(|p| p.energy_pj).sum(), e.totals.energy_pj, "phases");
        close(e.events.iter().map(|v| v.energy_pj).sum(), e.totals.energy_pj, "events");
        close(e.evaluation_events.iter().map(|v| v.energy_pj).sum(), e.evaluation.energy_pj, "evaluation");
        for layer in &e.layers {
            close(layer.phases.iter().map(|p| p.energy_pj).sum(), layer.energy_pj, &layer.name);
            close(layer.component_pj.values().sum(), layer.energy_pj, &layer.name);
        }
        close(e.totals.power_w, e.totals.energy_pj * 1e-12 / e.totals.seconds, "power");
        close(e.totals.image_pj * 4.0, e.totals.energy_pj, "an image");
        let cycles = |v: &&wagesim::report::EventCount| v.component == wagesim::observe::Component::Leakage;
        let leaked: u128 = e.events.iter().filter(cycles).map(|v| v.count).sum();
        assert_eq!(leaked, u128::from(e.totals.cycles));
    }
}

#[test]
fn an_accumulator_s_width_shows_in_the_area() {
    let area = |sets: &[&str]| estimated(sets).area.total_um2;
    let wide = area(&[]);
    for bits in [12u32, 16, 24] {
        let narrow = area(&["accumulators.overflow=wrap", &format!("accumulators.bits={bits}")]);
        // An adder and, with `overlap`, three registers each processing element: sum, way down, first values. Products of
        // 15 bits are never wider than the adder's other side of 16; 12 bits keep an adder of 15.
        let (adder, registers) = (32.0 - f64::from(bits.max(15)), 3.0 * f64::from(32 - bits));
        let array = 1024.0 * (4.3 * adder + 5.98 * registers);
        let vector = |sets: &[&str]| estimated(sets).area.place_um2["vector"];
        let spared = wide
            - narrow
            - (vector(&[]) - vector(&["accumulators.overflow=wrap", &format!("accumulators.bits={bits}")]));
        assert!((spared - array).abs() < 1.0, "{bits} bits: {spared} µm², not {array}");
    }
}

#[test]
fn squares_of_the_loss_have_one_multiplier_whatever_the_lanes() {
    for lanes in [1, 32, 256] {
        let area = estimated(&[&format!("vector.lanes={lanes}")]).area;
        let of_vector = area.elements.iter().filter(|e| e.element.place == "vector");
        let products: Vec<(Event, u64)> = of_vector
            .map(|e| (e.element.event, e.element.count))
            .filter(|(event, _)| matches!(event, Event::Multiply { .. }))
            .collect();
        assert_eq!(products, [(Event::Multiply { a_bits: 64, b_bits: 64 }, 1)], "{lanes} lanes");
    }
}

#[test]
fn a_shared_array_is_the_most_demanding_phase_s_and_arrays_of_their_own_add_up() {
    let places = |sets: &[&str]| estimated(sets).area.place_um2;
    let shared = places(&[]);
    let one_narrow = places(&["accumulators.forward.bits=20"]);
    assert!((shared["array"] - one_narrow["array"]).abs() < 1e-6);
    let own = places(&["array.shared=false"]);
    let names: Vec<&str> = own.keys().map(String::as_str).collect();
    assert_eq!(names, ["error array", "forward array", "gradient array", "vector"]);
    // The gradient multiplies 8 by 8 bits, the others 8 by 2.
    assert!(own["gradient array"] > own["forward array"] && own["gradient array"] <= shared["array"]);
    let narrow = places(&["array.shared=false", "accumulators.forward.bits=20"]);
    assert!(narrow["forward array"] < own["forward array"]);
    assert!((narrow["error array"] - own["error array"]).abs() < 1e-6);
    assert!(places(&["accumulators.overflow=saturate"])["array"] > shared["array"]);
}

/// What statistics and a ledger say after three steps on noise, accumulators recounted and codes looked at in each.
fn seen_by(engine: Fast, program: &Program, machine: &Machine) -> (Vec<StatisticsLine>, LedgerCounts) {
    let pixels = (0..8 * 784u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24).to_le_bytes()[0]);
    let images = Images::held([28, 28, 1], pixels.collect(), (0..8).collect());
    let scratchpads = machine.memory.bytes().map(|n| usize::try_from(n).unwrap());
    let mut trainer = Trainer::new(program, scratchpads, 1, Box::new(engine)).unwrap();
    let mut statistics = Statistics::new(program);
    let mut ledger = Ledger::new(&trainer.plans().train, machine);
    for step in 1..=3 {
        statistics.begin(step.min(2), true, true);
        let batch = images.batch(&[0, 1, 2, 3, 4, 5, 6, 7], None).unwrap();
        trainer.step(&batch, step, 3, &mut [&mut statistics, &mut ledger]).unwrap();
    }
    (statistics.lines(), ledger.counts().clone())
}

#[test]
fn what_hands_beside_each_other_see_is_what_one_sees_in_order() {
    let set = |settings: &[&str]| settings.iter().map(|s| Setting::parse(s).unwrap()).collect::<Vec<_>>();
    let text = include_str!("../programs/lenet5-mnist.toml");
    let (network, recipe, _) = load(text, "lenet5-mnist.toml", &set(&["recipe.batch=8"])).unwrap();
    for overflow in ["wrap", "saturate"] {
        let overflow = format!("accumulators.overflow=\"{overflow}\"");
        let machine = set(&["accumulators.bits=12", "memory.weight.kib=16", &overflow]);
        let machine = Machine::from_toml("", "small machine", &machine).unwrap();
        let program = compile(&network, &recipe, &machine, text).unwrap();
        let engine = |threads| Fast::with(Extension::chosen(), threads);
        let in_order = seen_by(engine(1), &program, &machine);
        let (lines, counts) = &in_order;
        let recounts = lines.iter().filter_map(|line| line.statistics.recount.as_ref());
        let of_joins = |line: &StatisticsLine| line.statistics.saturated_joins;
        let out: u64 =
            recounts.map(|r| r.wrapped_joins).sum::<u64>() + lines.iter().map(of_joins).sum::<u64>();
        assert!(out > 0, "no join left its range");
        let counts = serde_json::to_value(counts).unwrap();
        assert!(counts["first_overflow"].is_object(), "{overflow}: {}", counts["first_overflow"]);
        assert!(seen_by(engine(3).sharing_all(), &program, &machine) == in_order, "{overflow}");
    }
}
