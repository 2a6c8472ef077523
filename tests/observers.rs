//! Observers on whole programs: what they count is what the network says.

use wagesim::compiler::compile;
use wagesim::isa::Unit;
use wagesim::network::load;
use wagesim::observe::{Ledger, Tally};
use wagesim::program::{Phase, Plan};
use wagesim::spec::{self, Machine, Setting};

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
