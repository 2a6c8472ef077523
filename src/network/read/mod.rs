//! The program file: as typed, then checked. Owns the file's keys, ranges and reasons.

mod data;
mod recipe;

use std::path::Path;

use self::data::{Data, data};
use self::recipe::recipe;
use crate::network::geometry::{self, Common, LayerChoice};
use crate::network::{Bits, Layer, LayerKind, Network, Pad, Recipe, Variant};
use crate::spec::{Document, Section, Setting, SourceError};

const PADS: &[(&str, Pad)] = &[("valid", Pad::Valid), ("same", Pad::Same)];
const VARIANTS: &[(&str, Variant)] =
    &[(Variant::Code.name(), Variant::Code), (Variant::Paper.name(), Variant::Paper)];

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Augmentation, DataSet, InputTable, Rate, Shape};

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
    fn a_data_set_gives_the_network_its_input_and_classes() {
        assert!(refused(&["data.set=mnst"]).hint.expect("a hint").starts_with("did you mean `mnist`?"));
        let (network, recipe, _) =
            small(&["data.set=cifar10", "data.augment={pad=4, flip=true}"]).expect("a set");
        assert_eq!((network.input, network.classes), (Shape::new(32, 32, 3), 10));
        assert_eq!(recipe.augment, Augmentation { pad: 4, flip: true });
        let folder =
            ["data.set=images", "data.size=[20, 30]", "data.classes=7", "data.resize=32", "layer.1.fc=7"];
        let (network, recipe, _) = small(&folder).expect("a folder");
        assert_eq!((network.input, network.classes), (Shape::new(20, 30, 3), 7));
        assert_eq!(recipe.augment, Augmentation::default());
    }

    #[test]
    fn a_folder_of_images_says_what_its_pictures_become_and_nothing_else_does() {
        for (sets, key) in [
            (&["data.set=images", "data.classes=10"][..], "data.size"),
            (&["data.set=images", "data.size=20"], "data.classes"),
            (&["data.size=20"], "data.size"),
            (&["data.set=images", "data.size=20", "data.classes=10", "data.channels=2"], "2"),
            (&["data.set=images", "data.size=20", "data.classes=10", "data.resize=19"], "19"),
            (&["data.augment.pad=28"], "28"),
        ] {
            assert!(refused(sets).message.contains(key), "{sets:?}");
        }
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
        let (network, recipe, _) = read("lenet5-mnist", include_str!("../../../programs/lenet5-mnist.toml"));
        assert_eq!((network.quantise_output, recipe.epochs, recipe.lr_log2(250)), (false, 300, -3));
        let (network, _, _) =
            read("lenet5-mnist-2017", include_str!("../../../programs/lenet5-mnist-2017.toml"));
        assert!(network.quantise_output);
        let (network, recipe, _) =
            read("lenet5-mnist-paper", include_str!("../../../programs/lenet5-mnist-paper.toml"));
        assert_eq!((network.variant, recipe.epochs, recipe.max_lr_log2()), (Variant::Paper, 100, 0));
        let (network, recipe, _) = read("vgg7-cifar10", include_str!("../../../programs/vgg7-cifar10.toml"));
        assert_eq!((network.layers.len(), recipe.augment.pad, recipe.epochs), (8, 4, 300));
        let (_, recipe, _) = read("vgg7-svhn", include_str!("../../../programs/vgg7-svhn.toml"));
        assert_eq!((recipe.augment, recipe.epochs), (Augmentation::default(), 40));
        let (network, recipe, _) = read("quick", include_str!("../../../programs/quick.toml"));
        assert!(recipe.epochs < 10 && network.weights() == 32 * 25 + 64 * 800 + 1024 * 512 + 5120);
    }
}
