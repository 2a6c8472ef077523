//! The program file: as typed, then checked. Owns the file's keys, ranges and reasons.

use std::path::{Path, PathBuf};

use crate::network::geometry::{self, Common, LayerChoice};
use crate::network::recipe::exact_log2;
use crate::network::{Bits, DataSet, InputTable, Layer, LayerKind, Network, Pad, Rate, Recipe, Variant};
use crate::spec::{Document, Section, Setting, SourceError};

/// Greatest |λ|: beyond it every update is all or nothing for any code.
const LR_LOG2_MOST: i32 = 32;

const PADS: &[(&str, Pad)] = &[("valid", Pad::Valid), ("same", Pad::Same)];
const VARIANTS: &[(&str, Variant)] =
    &[(Variant::Code.name(), Variant::Code), (Variant::Paper.name(), Variant::Paper)];

/// Data sets that the program file will name once they can be read.
const LATER_SETS: &[&str] = &["cifar10", "svhn"];

/// Reads a program file: a network, its recipe and, as written, the machine it names (relative to the file).
/// `origin` is how errors name the file; `sets` are laid over it in order.
///
/// # Errors
/// Text that is no TOML, unknown keys, values out of range, shapes that do not fit.
pub fn load(
    text: &str,
    origin: &str,
    sets: &[Setting],
) -> Result<(Network, Recipe, Option<String>), SourceError> {
    let mut document = Document::parse(text, origin)?;
    for set in sets {
        document.set(set)?;
    }
    read(&document, origin)
}

/// A program file as one text with settings laid over it; as it is where there are none.
///
/// # Errors
/// Text that is no TOML, settings that have no place in it.
pub fn applied(text: &str, origin: &str, sets: &[Setting]) -> Result<String, SourceError> {
    if sets.is_empty() {
        return Ok(text.to_owned());
    }
    let mut document = Document::parse(text, origin)?;
    for set in sets {
        document.set(set)?;
    }
    Ok(document.to_toml())
}

/// Every dotted key of a program file, places in lists as `0`.
pub(crate) fn keys() -> Vec<String> {
    // Every optional part must be there once, so that its keys are asked for.
    let text = "layer = [{ fc = 10 }]\nrecipe = { epochs = 1, learning_rate = [{ epoch = 1, eta = 1 }] }";
    let document = Document::parse(text, "").expect("the text is TOML");
    read(&document, "").expect("the text is a program");
    document.asked()
}

fn read(document: &Document, origin: &str) -> Result<(Network, Recipe, Option<String>), SourceError> {
    let mut root = document.root();
    let name = root.text("name")?.map_or_else(|| file_stem(origin), str::to_owned);
    let machine = root.text("machine")?.map(str::to_owned);
    let (data_section, wage_section) = (root.section("data")?, root.section("wage")?);
    let (layer_sections, recipe_section) = (root.sections("layer")?, root.section("recipe")?);
    let parts = (|| {
        let (data, wage) = (data(data_section)?, wage(wage_section)?);
        let recipe = recipe(recipe_section, &data)?;
        let layers = layers(layer_sections, &data, &wage)?;
        Ok((data, wage, recipe, layers))
    })();
    // A misspelt table is why another is missing.
    root.finish()?;
    let (data, wage, recipe, layers) = parts?;
    if layers.is_empty() {
        let hint = format!("add at least [[layer]] fc = {}", data.set.classes());
        return Err(root.refuse("layer", "a network needs a layer").with_hint(hint));
    }
    let network = Network {
        name,
        input: data.set.shape(),
        input_table: data.input,
        classes: data.set.classes(),
        layers,
        bits: wage.bits,
        variant: wage.variant,
        quantise_output: wage.quantise_output,
    };
    Ok((network, recipe, machine))
}

fn file_stem(origin: &str) -> String {
    let stem = Path::new(origin).file_stem().map(|stem| stem.to_string_lossy().into_owned());
    stem.unwrap_or_else(|| "network".to_owned())
}

struct Data {
    set: DataSet,
    input: InputTable,
    path: Option<PathBuf>,
}

fn data(mut section: Section<'_>) -> Result<Data, SourceError> {
    if let Some(later) = section.text("set")?.filter(|set| LATER_SETS.contains(set)) {
        return Err(section.refuse("set", format!("not available yet: the data set {later}")).with_hint(
            "use set = \"mnist\", or \"fashion-mnist\" with the folder of its files (path = \"DIR\")",
        ));
    }
    let set = section.choice("set", &DataSet::ALL.map(|set| (set.name(), set)))?;
    let input = section.choice("input", &InputTable::ALL.map(|table| (table.name(), table)))?;
    let path = section.text("path")?.map(PathBuf::from);
    section.finish()?;
    Ok(Data { set: set.unwrap_or(DataSet::Mnist), input: input.unwrap_or(InputTable::By256), path })
}

struct Wage {
    variant: Variant,
    quantise_output: bool,
    bits: Bits,
}

fn wage(mut section: Section<'_>) -> Result<Wage, SourceError> {
    let variant = section.choice("variant", VARIANTS)?.unwrap_or(Variant::Code);
    let quantise_output = section.boolean("quantise_output")?.unwrap_or(false);
    let bits = bits(section.section("bits")?)?;
    section.finish()?;
    Ok(Wage { variant, quantise_output, bits })
}

fn bits(mut section: Section<'_>) -> Result<Bits, SourceError> {
    let default = Bits::default();
    let code = "a code has 2 to 16 bits";
    let bits = Bits {
        w: section.integer("W", 2..=16, code)?.unwrap_or(default.w),
        a: section.integer("A", 2..=16, code)?.unwrap_or(default.a),
        g: section.integer("G", 2..=16, code)?.unwrap_or(default.g),
        e: section.integer("E", 2..=16, code)?.unwrap_or(default.e),
        r: section.integer("R", 1..=32, "a random word has 1 to 32 bits")?.unwrap_or(default.r),
    };
    section.finish()?;
    if bits.w > bits.g {
        let message =
            format!("weights of W = {} bits cannot come from stored weights of G = {}", bits.w, bits.g);
        let key = if section.has("W") { "W" } else { "G" };
        return Err(section.refuse(key, message).with_hint("W must be at most G"));
    }
    Ok(bits)
}

fn layers(sections: Vec<Section<'_>>, data: &Data, wage: &Wage) -> Result<Vec<Layer>, SourceError> {
    let mut read = Vec::with_capacity(sections.len());
    for mut section in sections {
        let choice = layer_choice(&mut section)?;
        read.push((section, choice));
    }
    let choices: Vec<LayerChoice> = read.iter().map(|(_, choice)| *choice).collect();
    let (input, classes) = (data.set.shape(), data.set.classes());
    geometry::layers(Common { input, classes, bits: wage.bits, variant: wage.variant }, &choices).map_err(
        |error| {
            let (section, _) = &read[error.layer];
            section.refuse(error.key, error.message).with_hint(error.hint)
        },
    )
}

fn layer_choice(section: &mut Section<'_>) -> Result<LayerChoice, SourceError> {
    let channels = "a layer has 1 to 65535 output channels";
    let conv: Option<u32> = section.integer("conv", 1..=65_535, channels)?;
    let fc: Option<u32> = section.integer("fc", 1..=65_535, channels)?;
    let kernel = section.integer_or_pair("kernel", 1..=255, "a kernel has 1 to 255 rows and columns")?;
    let pad = section.choice("pad", PADS)?;
    let stride = section.integer("stride", 1..=255, "positions from one window to the next")?;
    let pool = section.integer("pool", 1..=255, "rows and columns of a window")?;
    let pool_stride =
        section.integer("pool_stride", 1..=255, "positions from one pool window to the next")?;
    let relu = section.boolean("relu")?;
    section.finish()?;
    let (kind, channels) = match (conv, fc) {
        (Some(channels), None) => (LayerKind::Conv, channels),
        (None, Some(channels)) => (LayerKind::Fc, channels),
        (Some(_), Some(_)) => {
            return Err(section
                .refuse("fc", "a layer is `conv` or `fc`, not both")
                .with_hint("make it two [[layer]]"));
        }
        (None, None) => {
            let hint = "write conv = CHANNELS or fc = OUTPUTS";
            return Err(section.refuse("conv", "a layer needs `conv` or `fc`").with_hint(hint));
        }
    };
    Ok(LayerChoice { kind, channels, kernel, pad, stride, pool, pool_stride, relu })
}

fn recipe(mut section: Section<'_>, data: &Data) -> Result<Recipe, SourceError> {
    let batch = section.integer("batch", 1..=65_536, "a step takes 1 to 65536 images")?.unwrap_or(128);
    let epochs = section.integer("epochs", 1..=1_000_000, "a run has 1 to 1000000 epochs")?;
    let seed = section.integer("seed", 0..=i64::MAX, "any number from 0 on")?.unwrap_or(1);
    let schedule = schedule(&mut section)?;
    section.finish()?;
    let missing = |key: &str, example: &str| {
        section
            .refuse(key, format!("`recipe.{key}` is missing"))
            .with_hint(format!("write {example} under [recipe]"))
    };
    Ok(Recipe {
        data: data.set,
        data_path: data.path.clone(),
        batch,
        epochs: epochs.ok_or_else(|| missing("epochs", "epochs = 6"))?,
        schedule: schedule.ok_or_else(|| missing("learning_rate", "learning_rate = 8"))?,
        seed,
    })
}

/// `learning_rate = 8`, or a list of `{ epoch = 1, eta = 8 }`.
fn schedule(section: &mut Section<'_>) -> Result<Option<Vec<Rate>>, SourceError> {
    const KEY: &str = "learning_rate";
    if !section.is_list(KEY) {
        let Some(rate) = section.number(KEY)? else { return Ok(None) };
        let lr_log2 = lr_log2(section, KEY, rate)?;
        return Ok(Some(vec![Rate { from_epoch: 1, lr_log2 }]));
    }
    let mut schedule: Vec<Rate> = Vec::new();
    for mut part in section.sections(KEY)? {
        let from_epoch: Option<u32> = part.integer("epoch", 1..=1_000_000, "epochs count from 1")?;
        let eta = part.number("eta")?;
        part.finish()?;
        let (Some(from_epoch), Some(eta)) = (from_epoch, eta) else {
            return Err(part
                .refuse("", "a learning rate needs the epoch it begins with, and its value")
                .with_hint("write { epoch = 1, eta = 8 }"));
        };
        let wanted = schedule.last().map_or(1, |rate| rate.from_epoch + 1);
        if schedule.is_empty() && from_epoch != 1 {
            return Err(part.refuse("epoch", "the first learning rate must begin with epoch 1"));
        }
        if from_epoch < wanted {
            return Err(
                part.refuse("epoch", format!("this learning rate must begin with epoch {wanted} or later"))
            );
        }
        schedule.push(Rate { from_epoch, lr_log2: lr_log2(&part, "eta", eta)? });
    }
    if schedule.is_empty() {
        return Err(section
            .refuse(KEY, "the list of learning rates is empty")
            .with_hint("write learning_rate = 8"));
    }
    Ok(Some(schedule))
}

fn lr_log2(section: &Section<'_>, key: &str, rate: f64) -> Result<i32, SourceError> {
    let error = match exact_log2(rate) {
        Ok(log2) if log2.abs() <= LR_LOG2_MOST => return Ok(log2),
        Ok(_) => {
            let hint = format!("2^-{LR_LOG2_MOST} to 2^{LR_LOG2_MOST} are allowed");
            section.refuse(key, format!("the learning rate {rate} is out of range")).with_hint(hint)
        }
        Err(Some((below, above))) => section
            .refuse(key, format!("the learning rate {rate} is not a power of two"))
            .with_hint(format!("updates are shifts; the nearest are {below} and {above}")),
        Err(None) => section.refuse(key, "a learning rate must be a positive number"),
    };
    Err(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = "[[layer]]\nconv = 4\nkernel = [5, 3]\npool = 2\n[[layer]]\nfc = 10\n[recipe]\nepochs = 2\nlearning_rate = 8\n";

    fn small(sets: &[&str]) -> Result<(Network, Recipe, Option<String>), SourceError> {
        let sets: Vec<Setting> = sets.iter().map(|set| Setting::parse(set).expect("a setting")).collect();
        load(SMALL, "dir/small.toml", &sets)
    }

    fn refused(sets: &[&str]) -> SourceError {
        match small(sets) {
            Err(error) => error,
            Ok(_) => panic!("{sets:?} must be refused"),
        }
    }

    #[test]
    fn what_is_left_out_has_the_contract_s_defaults() {
        let (network, recipe, machine) = small(&[]).expect("a program");
        assert_eq!(
            (network.name.as_str(), network.bits, network.variant),
            ("small", Bits::default(), Variant::Code)
        );
        assert_eq!((network.input_table, network.quantise_output), (InputTable::By256, false));
        assert_eq!((recipe.data, recipe.batch, recipe.epochs, recipe.seed), (DataSet::Mnist, 128, 2, 1));
        assert_eq!(recipe.schedule, [Rate { from_epoch: 1, lr_log2: 3 }]);
        assert_eq!(machine, None);
        let conv = &network.layers[0];
        assert_eq!((conv.kernel_h, conv.kernel_w, conv.out_h, conv.out_w), (5, 3, 24, 26));
    }

    #[test]
    fn settings_reach_every_part() {
        let sets = [
            "wage.bits.A=6",
            "wage.variant=paper",
            "wage.quantise_output=true",
            "data.set=fashion-mnist",
            "data.input=p/127.5-1",
            "data.path=some/where",
            "layer.0.conv=6",
            "recipe.learning_rate=[{epoch=1,eta=8},{epoch=2,eta=0.5}]",
            "recipe.seed=7",
            "machine=machines/narrow.toml",
        ];
        let (network, recipe, machine) = small(&sets).expect("a program");
        assert_eq!((network.bits.a, network.variant, network.quantise_output), (6, Variant::Paper, true));
        assert_eq!((recipe.data, network.input_table), (DataSet::FashionMnist, InputTable::By127Point5Less1));
        assert_eq!(recipe.data_path.as_deref(), Some(Path::new("some/where")));
        assert_eq!((network.layers[0].channels, recipe.lr_log2(2), recipe.seed), (6, -1, 7));
        assert_eq!(machine.as_deref(), Some("machines/narrow.toml"));
    }

    #[test]
    fn a_learning_rate_that_is_no_power_of_two_is_refused_with_the_nearest() {
        let error = refused(&["recipe.learning_rate=3"]);
        assert!(error.message.contains("3 is not a power of two"), "{error}");
        assert!(error.hint.expect("a hint").ends_with("the nearest are 2 and 4"));
        for rate in ["0", "-1", "nan", "1e30", "true", "[]"] {
            refused(&[&format!("recipe.learning_rate={rate}")]);
        }
    }

    #[test]
    fn a_schedule_begins_with_epoch_1_and_goes_up() {
        for list in
            ["{epoch=2,eta=8}", "{epoch=1,eta=8},{epoch=1,eta=4}", "{epoch=1}", "{eta=1}", "{epoch=0,eta=1}"]
        {
            refused(&[&format!("recipe.learning_rate=[{list}]")]);
        }
    }

    #[test]
    fn widths_outside_the_contract_are_refused() {
        for set in ["W=1", "W=9", "W=17", "A=1", "A=17", "G=1", "E=17", "R=0", "R=33"] {
            let error = refused(&[&format!("wage.bits.{set}")]);
            assert_eq!(error.origin, "--set", "{set}");
        }
        assert!(small(&["wage.bits.W=8"]).is_ok());
        assert!(small(&["wage.bits.R=32", "wage.bits.E=2", "wage.bits.A=16"]).is_ok());
    }

    #[test]
    fn data_sets_that_cannot_be_read_yet_say_so() {
        let error = refused(&["data.set=cifar10"]);
        assert_eq!(error.message, "not available yet: the data set cifar10");
        assert!(refused(&["data.set=mnst"]).hint.expect("a hint").starts_with("did you mean `mnist`?"));
    }

    #[test]
    fn shape_errors_point_at_the_layer_s_line() {
        let text = SMALL.replace("[5, 3]", "[29, 3]");
        let error = load(&text, "small.toml", &[]).expect_err("29 rows are too many");
        assert_eq!((error.line, error.column), (3, 10));
        assert_eq!(error.message, "the kernel of conv0 has 29 rows, its input 28");
    }

    #[test]
    fn a_layer_is_one_of_conv_and_fc() {
        assert!(refused(&["layer.1.conv=4"]).message.contains("not both"));
        let text = SMALL.replace("conv = 4\n", "");
        let error = load(&text, "small.toml", &[]).expect_err("neither");
        assert_eq!(error.message, "a layer needs `conv` or `fc`");
        assert_eq!(error.line, 1);
    }

    #[test]
    fn missing_parts_are_named() {
        for (gone, named) in
            [("epochs = 2\n", "recipe.epochs"), ("learning_rate = 8\n", "recipe.learning_rate")]
        {
            let error = load(&SMALL.replace(gone, ""), "small.toml", &[]).expect_err(named);
            assert!(error.message.contains(named), "{error}");
        }
        let text = "[recipe]\nepochs = 2\nlearning_rate = 8\n";
        assert_eq!(load(text, "small.toml", &[]).expect_err("no layer").message, "a network needs a layer");
    }

    #[test]
    fn a_misspelt_table_is_named_before_what_it_left_out() {
        let error = load(&SMALL.replace("[recipe]", "[recipee]"), "small.toml", &[]).expect_err("recipee");
        assert_eq!(error.message, "unknown key `recipee`");
        assert!(error.hint.expect("a hint").starts_with("did you mean `recipe`?"));
    }

    #[test]
    fn a_batch_too_large_gets_a_hint_that_fits() {
        let hint = refused(&["recipe.batch=100000"]).hint.expect("a hint");
        assert!(hint.contains("65536"), "{hint}");
    }

    #[test]
    fn an_unknown_key_of_a_layer_is_refused_before_what_it_left_out() {
        let text = SMALL.replace("conv = 4", "convs = 4");
        let error = load(&text, "small.toml", &[]).expect_err("convs is unknown");
        assert_eq!(error.message, "unknown key `convs` in `layer.0`");
        assert!(error.hint.expect("a hint").starts_with("did you mean `conv`?"));
    }

    #[test]
    fn the_program_files_of_the_repository_are_read() {
        let read = |name: &str, text| load(text, name, &[]).unwrap_or_else(|error| panic!("{error}"));
        let (network, recipe, _) = read("lenet5-mnist", include_str!("../../programs/lenet5-mnist.toml"));
        assert_eq!((network.quantise_output, recipe.epochs, recipe.lr_log2(250)), (false, 300, -3));
        let (network, _, _) =
            read("lenet5-mnist-2017", include_str!("../../programs/lenet5-mnist-2017.toml"));
        assert!(network.quantise_output);
        let (network, recipe, _) =
            read("lenet5-mnist-paper", include_str!("../../programs/lenet5-mnist-paper.toml"));
        assert_eq!((network.variant, recipe.epochs, recipe.max_lr_log2()), (Variant::Paper, 100, 0));
        let (network, recipe, _) = read("quick", include_str!("../../programs/quick.toml"));
        assert!(recipe.epochs < 10 && network.weights() == 32 * 25 + 64 * 800 + 1024 * 512 + 5120);
    }
}
