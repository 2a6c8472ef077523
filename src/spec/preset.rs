//! The energy table: picojoules and square micrometres of events, each number with its source. Owns the file's form and the
//! tables that are shipped (`programs/energy/`); must not know what events a machine has.

use std::path::Path;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::{Document, Section, SourceError, nearest};

/// Reads one rule of a table; what the text leaves out is the base's.
trait Rule: Sized {
    fn read(section: Section<'_>, base: Option<&Self>) -> Result<Self, SourceError>;
}

macro_rules! rules {
    ($($(#[$doc:meta])* $name:ident { $($(#[$key_doc:meta])* $key:ident),+ })+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $($(#[$key_doc])* pub $key: f64,)+
            /// Where the numbers are from.
            pub source: String,
        }

        impl Rule for $name {
            fn read(mut section: Section<'_>, base: Option<&Self>) -> Result<Self, SourceError> {
                $(let $key = section.number(stringify!($key))?;)+
                let source = section.text("source")?;
                section.finish()?;
                let changed = $($key.is_some())||+;
                $(let $key = coefficient(&section, stringify!($key), $key, base.map(|b| b.$key))?;)+
                let source = cited(&section, source, changed, base.map(|b| b.source.as_str()))?;
                Ok($name { $($key,)+ source })
            }
        }
    )+};
}

rules! {
    /// Energy in proportion to the width.
    EnergyByBit {
        /// Femtojoules a bit.
        fj_per_bit
    }
    /// Energy in proportion to both widths of a multiplication.
    EnergyByBitAndBit {
        /// Femtojoules by the product of the widths.
        fj_per_bit_by_bit
    }
    /// Energy of a barrel shift.
    EnergyByLevel {
        /// Femtojoules a bit, for each of the ⌈log2 bits⌉ levels.
        fj_per_bit_and_level
    }
    /// Energy of a scratchpad's word, by capacity.
    EnergyByCapacity {
        /// Picojoules of 64 bits at 8 KiB.
        pj_per_64_bits_at_8_kib,
        /// The power of the capacity it grows with.
        exponent
    }
    /// Energy of DRAM.
    EnergyOfDram {
        /// Picojoules a bit.
        pj_per_bit
    }
    /// Energy that time costs.
    EnergyByCycle {
        /// Picojoules a cycle; 0 is *not modelled*.
        pj_per_cycle
    }
    /// Area in proportion to the width.
    AreaByBit {
        /// Square micrometres a bit.
        um2_per_bit
    }
    /// Area of a multiplier.
    AreaByBitAndBit {
        /// Square micrometres by the product of the widths.
        um2_per_bit_by_bit,
        /// Square micrometres by their sum.
        um2_per_bit
    }
    /// Area of a barrel shifter.
    AreaByLevel {
        /// Square micrometres a bit, for each of the ⌈log2 bits⌉ levels.
        um2_per_bit_and_level
    }
}

/// A table of energies and areas with the rules that scale a width.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preset {
    /// Its name in machine files and reports.
    pub name: String,
    /// Technology and voltage.
    pub technology: String,
    /// An addition or subtraction.
    pub add: EnergyByBit,
    /// A multiplication.
    pub multiply: EnergyByBitAndBit,
    /// A scratchpad read or written.
    pub memory: EnergyByCapacity,
    /// A register written.
    pub register: EnergyByBit,
    /// A barrel shift.
    pub shift: EnergyByLevel,
    /// A comparison.
    pub compare: EnergyByBit,
    /// A step of a counter or of the random generator.
    pub count: EnergyByBit,
    /// DRAM read or written.
    pub dram: EnergyOfDram,
    /// Leakage of the whole machine.
    pub leakage: EnergyByCycle,
    /// Areas.
    pub area: Areas,
}

/// Areas of the elements that do the events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Areas {
    /// An adder.
    pub add: AreaByBit,
    /// A multiplier.
    pub multiply: AreaByBitAndBit,
    /// A register.
    pub register: AreaByBit,
    /// A barrel shifter.
    pub shift: AreaByLevel,
    /// A comparator.
    pub compare: AreaByBit,
    /// A counter or random generator.
    pub count: AreaByBit,
}

macro_rules! shipped {
    ($($name:literal),+) => {
        [$(($name, include_str!(concat!("../../programs/energy/", $name, ".toml")))),+]
    };
}

const TEXTS: [(&str, &str); 4] =
    shipped!["horowitz45", "horowitz45-lpddr4", "horowitz45-hbm2", "horowitz45-ddr3"];

/// The tables that are shipped; a base stands before those that name it.
static SHIPPED: LazyLock<Vec<Preset>> = LazyLock::new(|| {
    let mut read: Vec<Preset> = Vec::new();
    for (name, text) in TEXTS {
        let preset = Document::parse(text, name).and_then(|d| Preset::among(&read, d.root(), None));
        read.push(preset.expect("tests read every shipped table"));
    }
    read
});

impl Default for Preset {
    fn default() -> Self {
        SHIPPED[0].clone()
    }
}

impl Preset {
    /// The names of the shipped tables; the first is the default.
    pub fn names() -> impl Iterator<Item = &'static str> {
        TEXTS.iter().map(|(name, _)| *name)
    }

    /// The shipped table of that name.
    pub fn shipped(name: &str) -> Option<Preset> {
        SHIPPED.iter().find(|p| p.name == name).cloned()
    }

    /// Whether it is a shipped table, unchanged.
    pub fn is_shipped(&self) -> bool {
        SHIPPED.contains(self)
    }

    /// The shipped table of that name, or the one in the file of that path; a path ends in `.toml`.
    ///
    /// # Errors
    /// What neither is, or a file that holds no table, in words that say what there is.
    pub fn named(name: &str, folder: &Path) -> Result<Preset, PresetError> {
        if let Some(preset) = Preset::shipped(name) {
            return Ok(preset);
        }
        let path = folder.join(name);
        if path.extension().is_none_or(|e| e != "toml") {
            return Err(PresetError::Unknown { name: name.to_owned(), there_is: suggestion(name) });
        }
        let file = path.display().to_string();
        let text = std::fs::read_to_string(&path)
            .map_err(|error| PresetError::Io { path: file.clone(), error: error.to_string() })?;
        Ok(Preset::from_toml(&text, &file)?)
    }

    /// Reads a table's text; `origin` is how errors name it.
    ///
    /// # Errors
    /// Text that is no TOML, unknown keys, numbers that are missing, negative or without a source.
    pub fn from_toml(text: &str, origin: &str) -> Result<Preset, SourceError> {
        Preset::read(Document::parse(text, origin)?.root())
    }

    /// Reads a table that stands in a document.
    pub(super) fn read(section: Section<'_>) -> Result<Preset, SourceError> {
        Preset::among(&SHIPPED, section, None)
    }

    /// Asks for every key, so that a document knows them.
    pub(super) fn ask(section: Section<'_>) -> Result<(), SourceError> {
        Preset::among(&SHIPPED, section, SHIPPED.first()).map(|_| ())
    }

    fn among(
        shipped: &[Preset],
        mut section: Section<'_>,
        otherwise: Option<&Preset>,
    ) -> Result<Preset, SourceError> {
        let base = match section.text("base")? {
            Some(name) => Some(shipped.iter().find(|p| p.name == name).ok_or_else(|| {
                section.refuse("base", format!("no table is named `{name}`")).with_hint(suggestion(name))
            })?),
            None => otherwise,
        };
        let name = section.text("name")?.map(str::to_owned);
        let technology = section.text("technology")?.map(str::to_owned);
        macro_rules! rule {
            ($from:expr, $field:ident $(. $inner:ident)*) => {
                Rule::read($from.section(stringify!($field))?, base.map(|b| &b $(. $inner)* .$field))?
            };
        }
        let mut areas = section.section("area")?;
        let area = Areas {
            add: rule!(areas, add.area),
            multiply: rule!(areas, multiply.area),
            register: rule!(areas, register.area),
            shift: rule!(areas, shift.area),
            compare: rule!(areas, compare.area),
            count: rule!(areas, count.area),
        };
        areas.finish()?;
        let preset = Preset {
            add: rule!(section, add),
            multiply: rule!(section, multiply),
            memory: rule!(section, memory),
            register: rule!(section, register),
            shift: rule!(section, shift),
            compare: rule!(section, compare),
            count: rule!(section, count),
            dram: rule!(section, dram),
            leakage: rule!(section, leakage),
            area,
            name: required(&section, "name", name, base.map(|b| format!("{}, changed", b.name)))?,
            technology: required(&section, "technology", technology, base.map(|b| b.technology.clone()))?,
        };
        section.finish()?;
        Ok(preset)
    }
}

/// Why there is no table.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PresetError {
    /// Neither a shipped name nor a path.
    #[error("there is no energy table \"{name}\"; {there_is}")]
    Unknown {
        /// As written.
        name: String,
        /// What there is.
        there_is: String,
    },
    /// A file that cannot be read.
    #[error("{path}: {error}")]
    Io {
        /// The file.
        path: String,
        /// Why.
        error: String,
    },
    /// A text that is no table.
    #[error(transparent)]
    Text(#[from] SourceError),
}

fn suggestion(written: &str) -> String {
    let all: Vec<&str> = Preset::names().collect();
    let near = nearest(written, all.iter().copied()).map(|n| format!("did you mean `{n}`? "));
    format!("{}there is: {}, or the path of a file: my-table.toml", near.unwrap_or_default(), all.join(", "))
}

fn required(
    section: &Section<'_>,
    key: &str,
    given: Option<String>,
    base: Option<String>,
) -> Result<String, SourceError> {
    match given.or(base) {
        Some(text) if !text.is_empty() => Ok(text),
        _ => Err(section
            .refuse(key, format!("the energy table has no `{key}`"))
            .with_hint("write it, or take another table as a `base`: base = \"horowitz45\"")),
    }
}

/// A number that is there and no less than 0.
fn coefficient(
    section: &Section<'_>,
    key: &str,
    given: Option<f64>,
    base: Option<f64>,
) -> Result<f64, SourceError> {
    let Some(value) = given.or(base) else {
        return Err(section.refuse(key, format!("`{}` is missing", section.dotted(key))).with_hint(
            "a table without a `base` says every number; base = \"horowitz45\" takes that one's where it says none",
        ));
    };
    if value.is_finite() && value >= 0.0 {
        return Ok(value);
    }
    Err(section.refuse(key, format!("`{}` is {value}; it must be 0 or more", section.dotted(key))))
}

/// The source of a rule's numbers, which a change of them needs anew.
fn cited(
    section: &Section<'_>,
    given: Option<&str>,
    changed: bool,
    base: Option<&str>,
) -> Result<String, SourceError> {
    match given.or(base.filter(|_| !changed)) {
        Some(source) if !source.trim().is_empty() => Ok(source.to_owned()),
        _ => Err(section
            .refuse("source", format!("the numbers of `{}` have no source", section.path()))
            .with_hint("say where they are from: source = \"…\"")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANGED: &str =
        "base = \"horowitz45\"\nname = \"mine\"\n[dram]\npj_per_bit = 5\nsource = \"a data sheet\"\n";

    #[test]
    fn every_shipped_table_is_read_and_named_as_its_file() {
        for (name, text) in TEXTS {
            assert_eq!(Preset::from_toml(text, name).expect(name).name, name);
        }
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/programs/energy");
        assert_eq!(std::fs::read_dir(folder).expect("the folder").count(), TEXTS.len());
    }

    #[test]
    fn a_base_gives_what_a_table_leaves_out() {
        let mine = Preset::from_toml(CHANGED, "mine.toml").expect("a table");
        let base = Preset::default();
        assert_eq!((mine.dram.pj_per_bit, mine.dram.source.as_str()), (5.0, "a data sheet"));
        assert_eq!(Preset { dram: base.dram.clone(), name: base.name.clone(), ..mine }, base);
    }

    #[test]
    fn what_is_wrong_in_a_table_is_named_with_its_place() {
        for (from, to, named) in [
            ("pj_per_bit", "pj_per_bits", ["mine.toml:4:1", "`pj_per_bit`"]),
            ("dram", "drem", ["mine.toml:3:2", "`dram`"]),
            ("= 5", "= -5", ["mine.toml:4:14", "0 or more"]),
            ("= 5", "= \"5\"", ["mine.toml:4:14", "must be a number"]),
            ("source = \"a data sheet\"", "", ["mine.toml:3", "no source"]),
            ("\"horowitz45\"", "\"horowitz54\"", ["mine.toml:1:8", "did you mean `horowitz45`?"]),
            ("base = \"horowitz45\"\n", "", ["mine.toml", "missing"]),
        ] {
            let error = Preset::from_toml(&CHANGED.replace(from, to), "mine.toml").expect_err(to).to_string();
            named.iter().for_each(|word| assert!(error.contains(word), "{word}: {error}"));
        }
    }

    #[test]
    fn a_name_that_is_none_says_what_there_is() {
        let error = Preset::named("horowitz54", Path::new("")).expect_err("no table").to_string();
        assert!(error.contains("did you mean `horowitz45`?") && error.contains("horowitz45-hbm2"), "{error}");
        let error = Preset::named("nowhere.toml", Path::new("")).expect_err("no file").to_string();
        assert!(error.contains("nowhere.toml: "), "{error}");
    }
}
