//! Prices: energy of counted events and area of counted elements, under any table. Everything a figure depends on stands in
//! the report, so a finished run is priced again without running.

use std::collections::BTreeMap;

use super::{Area, EventCount, Layer, Part, Report, Totals, Whole};
use crate::spec::Preset;

impl Report {
    /// Prices all its counts under a table, and says so.
    pub fn price(&mut self, preset: &Preset) {
        price_part(preset, &mut self.events, &mut self.totals, &mut self.phases, &mut self.layers);
        price_part(preset, &mut self.evaluation_events, &mut self.evaluation, &mut [], &mut []);
        self.area.price(preset);
        let (training, evaluation) = (&self.totals, &self.evaluation);
        let seconds = training.seconds + evaluation.seconds;
        let energy_pj = training.energy_pj + evaluation.energy_pj;
        let test_error = self.epochs.last().map(|e| e.test_error);
        self.whole = Whole { test_error, seconds, energy_pj, power_w: power_w(energy_pj, seconds) };
        self.energy_preset.clone_from(&preset.name);
        self.preset = preset.clone();
    }
}

/// Prices the events of training or evaluation: one by one, in all, by phase and by layer.
pub(super) fn price_part(
    preset: &Preset,
    events: &mut [EventCount],
    totals: &mut Totals,
    phases: &mut [Part],
    layers: &mut [Layer],
) {
    for event in &mut *events {
        event.energy_pj = preset.events_pj(event.event, event.count);
    }
    let sum = |wanted: &dyn Fn(&EventCount) -> bool| {
        let mut by = BTreeMap::new();
        for event in events.iter().filter(|e| wanted(e)) {
            *by.entry(event.component).or_default() += event.energy_pj;
        }
        (by.values().sum(), by)
    };
    (totals.energy_pj, totals.component_pj) = sum(&|_| true);
    totals.power_w = power_w(totals.energy_pj, totals.seconds);
    #[expect(clippy::cast_precision_loss, reason = "a mean to be read")]
    let images = totals.executed_images.max(1) as f64;
    (totals.image_pj, totals.image_seconds) = (totals.energy_pj / images, totals.seconds / images);
    for part in phases {
        (part.energy_pj, part.component_pj) = sum(&|e| e.phase == part.phase);
    }
    for layer in layers {
        let of_layer = |e: &EventCount| e.layer.as_ref() == Some(&layer.name);
        (layer.energy_pj, layer.component_pj) = sum(&of_layer);
        for part in &mut layer.phases {
            (part.energy_pj, part.component_pj) = sum(&|e| e.phase == part.phase && of_layer(e));
        }
    }
}

impl Area {
    pub(super) fn price(&mut self, preset: &Preset) {
        self.place_um2 = BTreeMap::new();
        for part in &mut self.elements {
            #[expect(clippy::cast_precision_loss, reason = "areas are estimates")]
            let count = part.element.count as f64;
            part.um2 = preset.event_um2(part.element.event) * count;
            *self.place_um2.entry(part.element.place.clone()).or_default() += part.um2;
        }
        self.total_um2 = self.place_um2.values().sum();
    }
}

fn power_w(energy_pj: f64, seconds: f64) -> f64 {
    if seconds > 0.0 { energy_pj * 1e-12 / seconds } else { 0.0 }
}
