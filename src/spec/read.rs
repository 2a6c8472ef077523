//! The machine file: as typed, then checked. Owns the file's keys, ranges and reasons, and what is not available yet.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use crate::number::{AccumulatorRule, Overflow, Rounding};
use crate::spec::{
    Accumulators, Array, Control, Dataflow, Document, Drain, Dram, Generator, Machine, Memory, Order,
    Packing, Phase, Preset, PresetError, Random, Scratchpad, Section, Setting, SourceError, Vector,
};

/// Widest array, vector and memory interface: enough for any machine built, and no product of two overflows.
const MANY: i64 = 65_535;

/// An instruction names a scalar register in five bits; the first is always 0.
const REGISTERS: RangeInclusive<i64> = 2..=32;

const BITS: RangeInclusive<i64> = 4..=64;
const BITS_REASON: &str = "an accumulator is a register of 4 to 64 bits";

const DATAFLOWS: &[(&str, Dataflow)] =
    &[("output-stationary", Dataflow::OutputStationary), ("weight-stationary", Dataflow::WeightStationary)];
const DRAINS: &[(&str, Drain)] =
    &[("overlap", Drain::Overlap), ("serial", Drain::Serial), ("ignore", Drain::Ignore)];
const OVERFLOWS: &[(&str, Overflow)] =
    &[("wrap", Overflow::Wrap), ("saturate", Overflow::Saturate), ("trap", Overflow::Trap)];
const ROUNDINGS: &[(&str, Rounding)] =
    &[("even", Rounding::Even), ("up", Rounding::Up), ("truncate", Rounding::Truncate)];
const PACKINGS: &[(&str, Packing)] = &[("bytes", Packing::Bytes), ("words", Packing::Words)];
const GENERATORS: &[(&str, Generator)] =
    &[("philox4x32-10", Generator::Philox4x32x10), ("lfsr16", Generator::Lfsr16)];

impl Machine {
    /// Reads a machine file; every key is optional. `origin` is how errors name the file; `sets` are laid over it in
    /// order, and one of `accumulators.bits` and the like replaces what the phases had.
    ///
    /// # Errors
    /// Text that is no TOML, unknown keys, values out of range, and what no engine executes yet; an energy table that
    /// cannot be read: its path is relative to the folder of `origin`.
    pub fn from_toml(text: &str, origin: &str, sets: &[Setting]) -> Result<Self, SourceError> {
        let mut document = Document::parse(text, origin)?;
        for set in sets {
            let segments: Vec<&str> = set.key.split('.').collect();
            if let [part @ ("accumulators" | "array"), key] = segments[..] {
                for phase in Phase::ALL {
                    document.remove(&[part, phase.name(), key]);
                }
            }
            document.set(set)?;
        }
        machine(&document)
    }

    /// Every dotted key of a machine file.
    ///
    /// # Panics
    /// Never: the empty file is the default machine.
    pub fn keys() -> Vec<String> {
        let document = Document::parse("", "").expect("an empty file is TOML");
        machine(&document).expect("an empty file is the default machine");
        document.asked()
    }
}

fn machine(document: &Document) -> Result<Machine, SourceError> {
    let default = Machine::default();
    let mut root = document.root();
    let name = root.text("name")?.map_or(default.name, str::to_owned);
    let array = array(root.section("array")?, default.array)?;
    let accumulators = accumulators(root.section("accumulators")?, &array)?;
    let vector = vector(root.section("vector")?, default.vector)?;
    let memory = memory(root.section("memory")?, &default.memory)?;
    let dram = dram(root.section("dram")?, &default.dram)?;
    let control = control(root.section("control")?, &default.control)?;
    let clock_mhz = root
        .integer("clock_mhz", 1..=100_000, "cycles become seconds by it, and leakage energy by those")?
        .unwrap_or(default.clock_mhz);
    let energy = energy(&mut root)?;
    let random = random(root.section("random")?, default.random)?;
    root.finish()?;
    if name.is_empty() {
        return Err(root.refuse("name", "a machine's name cannot be empty: reports call it so"));
    }
    Ok(Machine { name, array, accumulators, vector, memory, dram, control, clock_mhz, energy, random })
}

/// The name of a shipped table, the path of a file, or the table itself.
fn energy(root: &mut Section<'_>) -> Result<Preset, SourceError> {
    Preset::ask(root.absent("energy")?)?;
    if root.is_table("energy") {
        return Preset::read(root.section("energy")?);
    }
    let Some(name) = root.text("energy")? else { return Ok(Preset::default()) };
    Preset::named(name, &root.folder("energy")).map_err(|error| match error {
        PresetError::Text(error) => error,
        other => root.refuse("energy", other.to_string()),
    })
}

fn array(mut section: Section<'_>, default: Array) -> Result<Array, SourceError> {
    let rows = section.integer("rows", 1..=MANY, "an array has at least one row")?;
    let columns = section.integer("columns", 1..=MANY, "an array has at least one column")?;
    let flow = dataflow(&mut section)?;
    let [mut forward, mut error, mut gradient] = [None; 3];
    for (phase, own) in Phase::ALL.into_iter().zip([&mut forward, &mut error, &mut gradient]) {
        let mut part = section.section(phase.name())?;
        *own = dataflow(&mut part)?;
        part.finish()?;
    }
    let drain = section.choice("drain", DRAINS)?;
    let shared = section.boolean("shared")?;
    section.finish()?;
    Ok(Array {
        rows: rows.unwrap_or(default.rows),
        columns: columns.unwrap_or(default.columns),
        dataflow: flow.unwrap_or(default.dataflow),
        forward,
        error,
        gradient,
        drain: drain.unwrap_or(default.drain),
        shared: shared.unwrap_or(default.shared),
    })
}

fn dataflow(section: &mut Section<'_>) -> Result<Option<Dataflow>, SourceError> {
    section.choice("dataflow", DATAFLOWS)
}

/// What a table says of a rule; the rest comes from the table around it.
#[derive(Clone, Copy)]
struct PartialRule {
    bits: Option<u32>,
    overflow: Option<Overflow>,
    tree: Option<u32>,
    chunk: Option<u32>,
    outer_bits: Option<u32>,
}

impl PartialRule {
    fn read(section: &mut Section<'_>) -> Result<Self, SourceError> {
        Ok(Self {
            bits: section.integer("bits", BITS, BITS_REASON)?,
            overflow: section.choice("overflow", OVERFLOWS)?,
            tree: section.integer(
                "tree",
                1..=1024,
                "products summed exactly before they join; 1 is one a step",
            )?,
            chunk: section.integer(
                "chunk",
                0..=i64::from(u32::MAX),
                "steps in the inner register; 0 is none",
            )?,
            outer_bits: section.integer("outer_bits", BITS, BITS_REASON)?,
        })
    }

    /// This rule where it speaks, else `general`.
    fn over(self, general: Self) -> Self {
        Self {
            bits: self.bits.or(general.bits),
            overflow: self.overflow.or(general.overflow),
            tree: self.tree.or(general.tree),
            chunk: self.chunk.or(general.chunk),
            outer_bits: self.outer_bits.or(general.outer_bits),
        }
    }

    /// The default where it does not speak; the outer width is the inner. Weights that stay are summed by columns, so
    /// there the chunk is the array's rows.
    fn rule(self, phase: Phase, array: &Array) -> AccumulatorRule {
        let default = AccumulatorRule::default();
        let chunk = match array.dataflow_of(phase) {
            Dataflow::OutputStationary => default.chunk,
            Dataflow::WeightStationary => array.rows,
        };
        let bits = self.bits.unwrap_or(default.bits);
        AccumulatorRule {
            bits,
            overflow: self.overflow.unwrap_or(default.overflow),
            tree: self.tree.unwrap_or(default.tree),
            chunk: self.chunk.unwrap_or(chunk),
            outer_bits: self.outer_bits.unwrap_or(bits),
        }
    }
}

fn accumulators(mut section: Section<'_>, array: &Array) -> Result<Accumulators, SourceError> {
    let general = PartialRule::read(&mut section)?;
    let packing = section.choice("packing", PACKINGS)?.unwrap_or(Packing::Bytes);
    let order = order(&mut section)?;
    let mut rules = [AccumulatorRule::default(); 3];
    let mut layers = BTreeMap::new();
    for (phase, rule) in Phase::ALL.into_iter().zip(&mut rules) {
        let mut part = section.section(phase.name())?;
        let special = PartialRule::read(&mut part)?.over(general);
        for (layer, mut own) in part.section("layer")?.numbered()? {
            let rule = PartialRule::read(&mut own)?.over(special).rule(phase, array);
            own.finish()?;
            if let Some(layer) = layer {
                check_chunk(&own, rule, phase, array)?;
                layers.insert((phase, layer), rule);
            }
        }
        part.finish()?;
        *rule = special.rule(phase, array);
        check_chunk(if part.has("chunk") { &part } else { &section }, *rule, phase, array)?;
    }
    section.finish()?;
    let [forward, error, gradient] = rules;
    layers.retain(|(phase, _), rule| *rule != [forward, error, gradient][*phase as usize]);
    Ok(Accumulators { forward, error, gradient, layers, packing, order })
}

/// A column of weights that stay sums as many products as it has rows, whatever a file says.
fn check_chunk(
    section: &Section<'_>,
    rule: AccumulatorRule,
    phase: Phase,
    array: &Array,
) -> Result<(), SourceError> {
    let rows = array.rows;
    if array.dataflow_of(phase) == Dataflow::OutputStationary || rule.chunk == rows {
        return Ok(());
    }
    let phase = phase.name();
    let message = format!(
        "the {phase} phase keeps weights in the array: a column sums {rows} rows, not a chunk of {}",
        rule.chunk
    );
    Err(section
        .refuse("chunk", message)
        .with_hint(format!("leave accumulators.{phase}.chunk out, or set it to array.rows, {rows}")))
}

fn order(section: &mut Section<'_>) -> Result<Order, SourceError> {
    let Some(text) = section.text("order")? else { return Ok(Order::Kernel) };
    match (text, text.strip_prefix("channels:").map(str::parse::<u32>)) {
        ("kernel", _) => Ok(Order::Kernel),
        (_, Some(Ok(block @ 1..))) => Ok(Order::Channels(block)),
        _ => Err(section
            .refuse("order", format!("`accumulators.order` cannot be `{text}`"))
            .with_hint("use \"kernel\", or \"channels:n\" for blocks of n channels, n at least 1")),
    }
}

fn vector(mut section: Section<'_>, default: Vector) -> Result<Vector, SourceError> {
    let lanes =
        section.integer("lanes", 1..=MANY, "the vector unit works on at least one element a cycle")?;
    let forward_rounding = section.choice("forward_rounding", ROUNDINGS)?;
    let error_rounding = section.choice("error_rounding", ROUNDINGS)?;
    let zero_gating = section.boolean("zero_gating")?;
    section.finish()?;
    Ok(Vector {
        lanes: lanes.unwrap_or(default.lanes),
        forward_rounding: forward_rounding.unwrap_or(default.forward_rounding),
        error_rounding: error_rounding.unwrap_or(default.error_rounding),
        zero_gating: zero_gating.unwrap_or(default.zero_gating),
    })
}

fn memory(mut section: Section<'_>, default: &Memory) -> Result<Memory, SourceError> {
    let operand = scratchpad(section.section("operand")?, default.operand)?;
    let weight = scratchpad(section.section("weight")?, default.weight)?;
    let accumulator = scratchpad(section.section("accumulator")?, default.accumulator)?;
    let mask = scratchpad(section.section("mask")?, default.mask)?;
    section.finish()?;
    Ok(Memory { operand, weight, accumulator, mask })
}

fn scratchpad(mut section: Section<'_>, default: Scratchpad) -> Result<Scratchpad, SourceError> {
    let kib = section.integer("kib", 1..=1_048_576, "a scratchpad holds 1 KiB to 1 GiB")?;
    let ports = section.integer(
        "ports",
        1..=64,
        "an instruction holds one port of each memory it touches to its end",
    )?;
    section.finish()?;
    Ok(Scratchpad { kib: kib.unwrap_or(default.kib), ports: ports.unwrap_or(default.ports) })
}

fn dram(mut section: Section<'_>, default: &Dram) -> Result<Dram, SourceError> {
    let bytes_per_cycle = section.integer("bytes_per_cycle", 1..=MANY, "a move ends only if bytes move")?;
    let latency_cycles = section.integer("latency_cycles", 0..=1_000_000, "cycles before the first byte")?;
    let burst_bytes = section.integer("burst_bytes", 1..=MANY, "the least DRAM moves at once")?;
    let channels =
        section.integer("channels", 1..=2, "1 is shared, 2 are one for reads and one for writes")?;
    section.finish()?;
    Ok(Dram {
        bytes_per_cycle: bytes_per_cycle.unwrap_or(default.bytes_per_cycle),
        latency_cycles: latency_cycles.unwrap_or(default.latency_cycles),
        burst_bytes: burst_bytes.unwrap_or(default.burst_bytes),
        channels: channels.unwrap_or(default.channels),
    })
}

fn control(mut section: Section<'_>, default: &Control) -> Result<Control, SourceError> {
    let loop_depth = section.integer("loop_depth", 1..=64, "a program of more than one step needs a loop")?;
    let registers =
        section.integer("registers", REGISTERS, "an instruction names s0 to s31, and s0 is always 0")?;
    let queue_depth = section.integer(
        "queue_depth",
        1..=MANY,
        "a unit takes its instructions from a queue of at least one",
    )?;
    section.finish()?;
    Ok(Control {
        loop_depth: loop_depth.unwrap_or(default.loop_depth),
        registers: registers.unwrap_or(default.registers),
        queue_depth: queue_depth.unwrap_or(default.queue_depth),
    })
}

fn random(mut section: Section<'_>, default: Random) -> Result<Random, SourceError> {
    let generator = section.choice("generator", GENERATORS)?.unwrap_or(default.generator);
    section.finish()?;
    Ok(Random { generator })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, sets: &[&str]) -> Result<Machine, SourceError> {
        let sets: Vec<Setting> = sets.iter().map(|set| Setting::parse(set).expect("a setting")).collect();
        Machine::from_toml(text, "m.toml", &sets)
    }

    fn bits(machine: &Machine) -> [u32; 3] {
        Phase::ALL.map(|phase| machine.accumulators.rule(phase).bits)
    }

    #[test]
    fn an_empty_file_is_the_default_machine() {
        assert_eq!(read("", &[]), Ok(Machine::default()));
    }

    #[test]
    fn a_rule_of_a_phase_goes_before_the_rule_of_all() {
        let text = "[accumulators]\nbits = 24\noverflow = \"wrap\"\n[accumulators.error]\nbits = 19\n";
        let machine = read(text, &[]).expect("a machine");
        assert_eq!(bits(&machine), [24, 19, 24]);
        assert_eq!(machine.accumulators.error.overflow, Overflow::Wrap);
        assert_eq!(machine.accumulators.error.outer_bits, 19);
    }

    #[test]
    fn the_outer_width_is_the_inner_unless_it_is_said() {
        let machine = read("[accumulators]\nbits = 12\nchunk = 32\n", &[]).expect("a machine");
        assert_eq!(machine.accumulators.gradient.outer_bits, 12);
        let machine = read("[accumulators]\nbits = 12\nouter_bits = 20\n", &[]).expect("a machine");
        assert_eq!(machine.accumulators.gradient.outer_bits, 20);
    }

    #[test]
    fn a_later_setting_wins_over_an_earlier_one_and_over_the_file() {
        let file = "[accumulators.forward]\nbits = 16\n";
        let all_last = ["accumulators.error.bits=18", "accumulators.bits=20"];
        assert_eq!(bits(&read(file, &all_last).expect("a machine")), [20, 20, 20]);
        let one_last = ["accumulators.bits=20", "accumulators.error.bits=18"];
        assert_eq!(bits(&read(file, &one_last).expect("a machine")), [20, 18, 20]);
    }

    #[test]
    fn settings_reach_every_part() {
        let sets =
            ["array.rows=8", "memory.mask.kib=64", "dram.channels=2", "clock_mhz=700", "vector.lanes=4"];
        let machine = read("", &sets).expect("a machine");
        assert_eq!((machine.array.rows, machine.memory.mask.kib, machine.dram.channels), (8, 64, 2));
        assert_eq!((machine.clock_mhz, machine.vector.lanes), (700, 4));
    }

    #[test]
    fn values_out_of_range_are_refused_with_the_reason() {
        for (set, reason) in [
            ("accumulators.bits=3", "4 to 64"),
            ("accumulators.gradient.outer_bits=65", "4 to 64"),
            ("accumulators.tree=0", "one a step"),
            ("array.rows=0", "at least one row"),
            ("memory.operand.ports=0", "port"),
            ("dram.channels=3", "shared"),
            ("dram.bytes_per_cycle=0", "bytes move"),
            ("control.queue_depth=0", "queue"),
        ] {
            let error = read("", &[set]).expect_err(set);
            assert!(error.hint.as_deref().is_some_and(|hint| hint.contains(reason)), "{set}: {error}");
        }
    }

    #[test]
    fn channels_may_be_taken_in_blocks() {
        let machine = read("accumulators.order = \"channels:16\"", &[]).expect("a machine");
        assert_eq!(machine.accumulators.order, Order::Channels(16));
        assert_eq!(Machine::from_toml(&machine.to_toml(), "again", &[]), Ok(machine));
        let machine = read("", &["accumulators.order=channels:3"]).expect("a machine");
        assert_eq!(machine.accumulators.order, Order::Channels(3));
    }

    #[test]
    fn weights_that_stay_are_summed_by_columns() {
        let machine =
            read("[array]\nrows = 8\nerror.dataflow = \"weight-stationary\"\n", &[]).expect("a machine");
        assert_eq!(Phase::ALL.map(|phase| machine.accumulators.rule(phase).chunk), [0, 8, 0]);
        let error = read("", &["array.dataflow=weight-stationary", "accumulators.error.chunk=16"])
            .expect_err("a chunk");
        assert!(error.message.contains("a column sums 32 rows"), "{error}");
    }

    #[test]
    fn one_layer_may_have_a_rule_of_its_own() {
        let text =
            "[accumulators]\nbits = 24\n[accumulators.forward.layer.3]\nbits = 14\noverflow = \"wrap\"\n";
        let machine = read(text, &["accumulators.error.layer.1.bits=12"]).expect("a machine");
        let bits = |phase, layer| machine.accumulators.rule_of(phase, layer).bits;
        assert_eq!([bits(Phase::Forward, 3), bits(Phase::Forward, 2), bits(Phase::Error, 1)], [14, 24, 12]);
        let again = Machine::from_toml(&machine.to_toml(), "again", &[]).expect("a machine");
        assert_eq!(again, machine);
        let error = read("accumulators.forward.layer.x.bits = 3", &[]).expect_err("no number");
        assert!(error.message.contains("a layer's number"), "{error}");
        let error = read("accumulators.forward.layer.0.bit = 3", &[]).expect_err("no key");
        assert!(error.hint.as_deref().is_some_and(|hint| hint.contains("bits")), "{error}");
    }

    #[test]
    fn an_order_that_is_none_is_refused_as_such() {
        for order in ["channels:0", "channels:x", "channels:", "channels", "rows"] {
            let error = read(&format!("accumulators.order = \"{order}\""), &[]).expect_err(order);
            assert!(error.message.contains("cannot be"), "{error}");
            assert!(error.to_string().contains("m.toml:1:"), "{error}");
        }
    }

    #[test]
    fn a_word_that_is_no_choice_is_refused_with_the_nearest() {
        let error = read("[accumulators]\noverflow = \"saturated\"\n", &[]).expect_err("no such mode");
        assert_eq!((error.line, error.column), (2, 12));
        assert!(error.hint.expect("a hint").starts_with("did you mean `saturate`?"));
    }

    #[test]
    fn a_key_in_the_wrong_part_is_refused_with_its_place() {
        let error = read("rows = 3\n", &[]).expect_err("rows belongs to array");
        assert_eq!(error.hint.as_deref(), Some("did you mean `array.rows`?"));
    }

    #[test]
    fn drain_and_unshared_arrays_are_accepted() {
        let machine = read("[array]\ndrain = \"serial\"\nshared = false\n", &[]).expect("a machine");
        assert_eq!((machine.array.drain, machine.array.shared), (Drain::Serial, false));
    }

    #[test]
    fn the_keys_are_those_a_file_may_hold() {
        let keys = Machine::keys();
        for key in ["array.rows", "array.error.dataflow", "accumulators.forward.outer_bits", "clock_mhz"] {
            assert!(keys.iter().any(|known| known == key), "{key}");
        }
        assert!(!keys.iter().any(|key| key == "array"));
    }
}
