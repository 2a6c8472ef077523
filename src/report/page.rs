//! One self-contained page, readable on a phone and in print: facts, pictures, tables, notes. Owns its form; `run` fills it
//! with a run's report.

use askama::Template;

use super::figure::PlotError;
use super::table::{grouped, joules, percent, scaled};
use super::{Report, plots};

/// A page.
#[derive(Debug, Clone, Template)]
#[template(path = "page.html", config = "src/report/askama.toml")]
pub struct Page {
    /// Its title.
    pub title: String,
    /// A line below it.
    pub subtitle: String,
    /// Names and values at its top.
    pub facts: Vec<(String, String)>,
    /// Pictures: title, SVG element.
    pub figures: Vec<(String, String)>,
    /// Tables.
    pub tables: Vec<PageTable>,
    /// What a reader must know.
    pub notes: Vec<String>,
}

/// A table of a page; its first column is text.
#[derive(Debug, Clone)]
pub struct PageTable {
    /// Its title.
    pub title: String,
    /// Heads of its columns.
    pub head: Vec<String>,
    /// Its rows.
    pub rows: Vec<Vec<String>>,
}

impl Page {
    /// The page as text.
    ///
    /// # Errors
    /// Never: a string takes all that is written.
    pub fn html(&self) -> Result<String, String> {
        self.render().map_err(|e| e.to_string())
    }

    /// The page of a run.
    ///
    /// # Errors
    /// When a picture cannot be drawn.
    pub fn run(report: &Report) -> Result<Page, PlotError> {
        let totals = &report.totals;
        let last = report.epochs.last();
        let fact = |name: &str, value: String| (name.to_owned(), value);
        let mut facts = Vec::new();
        if let Some(last) = last {
            facts.push(fact("test error", percent(last.test_error)));
        }
        #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
        let images = totals.executed_images.max(1) as f64;
        facts.extend([
            fact("epochs", report.epochs.len().to_string()),
            fact("training images", grouped(totals.images)),
            fact("cycles", grouped(totals.cycles)),
            fact("time at the clock", scaled(totals.seconds, "s")),
            fact("energy", joules(totals.energy_pj)),
            fact("energy an image", joules(totals.energy_pj / images)),
            fact("utilisation", percent(totals.utilisation)),
            fact("wrong outputs", grouped(totals.wrong_outputs)),
            fact("data", report.data.set.clone()),
        ]);
        let titled = |(name, svg): (&str, String)| (name.to_owned(), svg);
        let figures = plots::elements(report)?.into_iter().map(titled).collect();
        Ok(Page {
            title: format!("{} on {}", report.program, report.machine),
            subtitle: format!("seed {}, batch {}, wagesim {}", report.seed, report.batch, report.wagesim),
            facts,
            figures,
            tables: vec![epochs(report), parts(report), widths(report)],
            notes: report.notes.clone(),
        })
    }
}

fn head(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

fn epochs(report: &Report) -> PageTable {
    let row = |e: &crate::train::Epoch| {
        let rate = format!("{}", 2f64.powi(e.lr_log2));
        vec![
            e.epoch.to_string(),
            rate,
            format!("{:.4}", e.loss),
            percent(e.train_error),
            percent(e.test_error),
        ]
    };
    PageTable {
        title: "Epochs".to_owned(),
        head: head(&["epoch", "η", "loss", "training error, as seen", "test error"]),
        rows: report.epochs.iter().map(row).collect(),
    }
}

fn parts(report: &Report) -> PageTable {
    let mut rows = Vec::new();
    for (layer, phases) in
        report.layers.iter().map(|l| (l.name.as_str(), &l.phases)).chain([("all", &report.phases)])
    {
        for part in phases {
            rows.push(vec![
                format!("{layer} {}", part.phase),
                grouped(part.cycles),
                grouped(part.array_cycles),
                joules(part.energy_pj),
                grouped(part.wrong_outputs),
                grouped(part.saturated_joins),
            ]);
        }
    }
    PageTable {
        title: "Layers and phases".to_owned(),
        head: head(&["", "cycles", "array busy", "energy", "wrong outputs", "saturated joins"]),
        rows,
    }
}

fn widths(report: &Report) -> PageTable {
    let bits = |bits: Option<u32>| bits.map_or("-".to_owned(), |b| b.to_string());
    let row = |line: &super::Statistic| {
        let recount = line.statistics.recount.as_ref();
        vec![
            format!("{} {}", line.layer, line.class.name()),
            line.bits.to_string(),
            bits(line.sufficient.map(|w| w.but_1e5)),
            bits(line.sufficient.map(|w| w.but_1e4)),
            bits(line.sufficient.map(|w| w.but_1e3)),
            bits(line.sufficient_on_the_way.map(|w| w.all)),
            bits(recount.and_then(|r| r.l1_bound_bits)),
            bits(recount.map(|r| r.worst_case_bits)),
            line.statistics.least.to_string(),
            line.statistics.greatest.to_string(),
        ]
    };
    PageTable {
        title: "Widths".to_owned(),
        head: head(&[
            "",
            "bits",
            "but 1e-5",
            "1e-4",
            "1e-3",
            "on the way",
            "L1 bound",
            "worst case",
            "least",
            "greatest",
        ]),
        rows: report.statistics.iter().map(row).collect(),
    }
}
