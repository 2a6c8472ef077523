//! Which settings are the program's and which the machine's. Owns the choice by key; the values are read elsewhere.

use crate::network::read;
use crate::spec::{Machine, Setting, SourceError, general, nearest};

/// Settings by the file they are laid over, each list in the order given.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Routed {
    /// For the program file.
    pub program: Vec<Setting>,
    /// For the machine file.
    pub machine: Vec<Setting>,
}

/// Tells the program's settings from the machine's. `name` is the program's.
///
/// # Errors
/// A key that neither has, with the nearest that one of them has.
pub fn route(settings: &[Setting]) -> Result<Routed, SourceError> {
    let (program, machine) = (read::keys(), Machine::keys());
    let mut routed = Routed::default();
    for setting in settings {
        let key = setting.key.split('.').map(general).collect::<Vec<_>>().join(".");
        if holds(&program, &key) {
            routed.program.push(setting.clone());
        } else if holds(&machine, &key) {
            routed.machine.push(setting.clone());
        } else {
            let known = program.iter().chain(&machine).map(String::as_str);
            let hint = match nearest(&key, known) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "`wagesim machine` prints every key of the machine".to_owned(),
            };
            let text = setting.text();
            let message = format!("neither program nor machine has a key `{}`", setting.key);
            return Err(SourceError::new("--set", &text, 0..setting.key.len(), message).with_hint(hint));
        }
    }
    Ok(routed)
}

/// Whether `key` is one of `known`, or a whole table of them.
fn holds(known: &[String], key: &str) -> bool {
    known
        .iter()
        .any(|full| full.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(texts: &[&str]) -> Vec<Setting> {
        texts.iter().map(|text| Setting::parse(text).expect("a setting")).collect()
    }

    #[test]
    fn each_setting_goes_to_the_file_that_has_its_key() {
        let program = [
            "wage.bits.W=3",
            "wage.variant=paper",
            "wage.quantise_output=true",
            "layer.3.fc=10",
            "recipe.learning_rate=1",
            "recipe.learning_rate.1.eta=1",
            "name=x",
            "machine=m.toml",
            "wage.bits={W=2}",
        ];
        let machine = [
            "array.rows=8",
            "array.dataflow=output-stationary",
            "array.drain=serial",
            "accumulators.bits=20",
            "accumulators.forward.outer_bits=20",
            "accumulators.forward.layer.3.bits=20",
            "clock_mhz=100",
            "energy=horowitz45",
        ];
        let mixed: Vec<Setting> = settings(&[program.as_slice(), machine.as_slice()].concat());
        let routed = route(&mixed).expect("all are known");
        assert_eq!(routed.program, settings(&program));
        assert_eq!(routed.machine, settings(&machine));
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest_of_both_files() {
        for (written, meant) in [
            ("array.row=8", "array.rows"),
            ("bits=8", "accumulators.bits"),
            ("wage.bit.W=2", "wage.bits.W"),
            ("recipe.epoch=2", "recipe.epochs"),
            ("layer.2.chanels=2", "`"),
        ] {
            let error = route(&settings(&[written])).expect_err(written);
            assert!(error.to_string().contains("--set"), "{error}");
            if meant != "`" {
                assert_eq!(error.hint, Some(format!("did you mean `{meant}`?")));
            }
        }
    }
}
