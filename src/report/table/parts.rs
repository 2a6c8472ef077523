//! Tables of what a step's parts cost: by layer and phase, by unit, by component.

use super::numbers::{area, counted, grouped, joules, percent};
use super::plain;
use crate::isa::Unit;
use crate::observe::Component;
use crate::report::{Area, Layer, Part, Totals};
use crate::timing::Wait;

/// Cycles, energy and products by layer and phase.
pub(super) fn costs(layers: &[Layer], phases: &[Part]) -> String {
    let head = [
        "layer",
        "phase",
        "cycles",
        "array busy",
        "array waits for",
        "utilisation",
        "energy",
        "products",
        "useful",
        "wrong outputs",
    ];
    let mut table = plain(&head, 2..);
    let mut row = |layer: &str, part: &Part| {
        table.add_row([
            layer.to_owned(),
            part.phase.clone(),
            grouped(part.cycles),
            grouped(part.array_cycles),
            greatest_wait(part),
            if part.array_cycles > 0 { percent(part.utilisation) } else { "-".to_owned() },
            joules(part.energy_pj),
            counted(part.products, ""),
            counted(part.useful_products, ""),
            grouped(part.wrong_outputs),
        ]);
    };
    for layer in layers {
        for (i, part) in layer.phases.iter().enumerate() {
            row(if i == 0 { &layer.name } else { "" }, part);
        }
    }
    phases.iter().for_each(|part| row("all", part));
    table.trim_fmt()
}

/// What the array waits for most before instructions of a part.
fn greatest_wait(part: &Part) -> String {
    let waits = part.units.get(&Unit::Array).map(|u| &u.waits);
    let greatest = waits.and_then(|w| w.iter().max_by_key(|(_, cycles)| **cycles));
    match greatest {
        Some((wait, &cycles)) if part.array_cycles > 0 => format!("{} {}", wait.name(), grouped(cycles)),
        _ => "-".to_owned(),
    }
}

/// Where the cycles of training go, by unit; waits that no unit has are left out.
pub(super) fn units(totals: &Totals) -> String {
    let units = &totals.units;
    let met = |wait: &Wait| units.values().any(|u| u.waits.contains_key(wait));
    let waits: Vec<Wait> = Wait::ALL.into_iter().filter(met).collect();
    let head: Vec<&str> = ["unit", "busy"].into_iter().chain(waits.iter().map(|w| w.name())).collect();
    let mut table = plain(&head, 1..);
    for (unit, cycles) in units {
        #[expect(clippy::cast_precision_loss, reason = "shares to be read")]
        let share = |part: u64| percent(part as f64 / cycles.total().max(1) as f64);
        let waited = waits.iter().map(|w| cycles.waits.get(w).map_or("-".to_owned(), |&c| share(c)));
        table.add_row([unit.name().to_owned(), share(cycles.busy)].into_iter().chain(waited));
    }
    if units.is_empty() { String::new() } else { table.trim_fmt() }
}

/// Energy by component, phase and layer; components that cost nothing are left out.
pub(super) fn energies(layers: &[Layer], phases: &[Part], totals: &Totals) -> String {
    let met = |c: &Component| totals.component_pj.get(c).is_some_and(|&pj| pj > 0.0);
    let components: Vec<Component> = Component::ALL.into_iter().filter(met).collect();
    let names = components.iter().map(|c| c.name().replace('_', " "));
    let head: Vec<String> = ["energy", "phase", "all"].map(str::to_owned).into_iter().chain(names).collect();
    let head: Vec<&str> = head.iter().map(String::as_str).collect();
    let mut table = plain(&head, 2..);
    let mut row = |layer: &str, phase: &str, all: String, each: &dyn Fn(Component) -> String| {
        let cells = [layer.to_owned(), phase.to_owned(), all];
        table.add_row(cells.into_iter().chain(components.iter().map(|&c| each(c))));
    };
    let part = |part: &Part, c| part.component_pj.get(&c).map_or("-".to_owned(), |&pj| joules(pj));
    for layer in layers {
        for (i, p) in layer.phases.iter().enumerate() {
            let name = if i == 0 { layer.name.as_str() } else { "" };
            row(name, &p.phase, joules(p.energy_pj), &|c| part(p, c));
        }
    }
    phases.iter().for_each(|p| row("all", &p.phase, joules(p.energy_pj), &|c| part(p, c)));
    let total = |c| totals.component_pj.get(&c).copied().unwrap_or(0.0);
    row("all", "", joules(totals.energy_pj), &|c| joules(total(c)));
    row("share", "", percent(1.0), &|c| percent(total(c) / totals.energy_pj.max(f64::MIN_POSITIVE)));
    table.trim_fmt()
}

/// Area of the machine's logic, by place and component.
pub(super) fn areas(all: &Area) -> String {
    let mut table =
        plain(&["area, logic only", "all", "multipliers", "adders", "registers", "comparators"], 1..);
    for (place, &um2) in &all.place_um2 {
        let of = |component| {
            let parts = all.elements.iter().filter(|e| e.element.place == *place);
            let um2: f64 = parts.filter(|e| e.element.component == component).map(|e| e.um2).sum();
            if um2 > 0.0 { area(um2) } else { "-".to_owned() }
        };
        let parts = [
            Component::ArrayMultiply,
            Component::ArrayAdd,
            Component::ArrayRegister,
            Component::ArrayCompare,
        ];
        table.add_row([place.clone(), area(um2)].into_iter().chain(parts.map(of)));
    }
    table.add_row(["all".to_owned(), area(all.total_um2)]);
    table.trim_fmt()
}
