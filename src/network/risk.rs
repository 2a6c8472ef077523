//! Which accumulators cannot hold every sum of codes: known before a run, from shapes and widths alone.

use super::{Layer, Network};
use crate::number::Overflow;
use crate::spec::{Accumulators, Phase};

/// An accumulator that traps and is narrower than the worst case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Risk {
    /// Name of the layer.
    pub layer: String,
    /// The phase.
    pub phase: Phase,
    /// Width of the register that holds the sums.
    pub bits: u32,
    /// Width that holds every sum.
    pub worst_case_bits: u32,
}

impl std::fmt::Display for Risk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Risk { layer, phase, bits, worst_case_bits } = self;
        let phase = phase.name();
        write!(
            f,
            "{layer}: {phase} sums may take {worst_case_bits} bits and trap beyond {bits}; \
             accumulators.{phase}.bits={worst_case_bits} holds every one"
        )
    }
}

impl Network {
    /// Products an accumulator of a layer joins at most.
    fn joined(layer: &Layer, phase: Phase, batch: u32) -> u64 {
        let window = u64::from(layer.kernel_h) * u64::from(layer.kernel_w);
        match phase {
            Phase::Forward => layer.n_in(),
            Phase::Error => window * u64::from(layer.channels),
            Phase::Gradient => u64::from(batch) * u64::from(layer.out_h) * u64::from(layer.out_w),
        }
    }

    /// The width that holds every sum of a layer's phase, whatever its codes are.
    pub fn worst_case_bits(&self, layer: &Layer, phase: Phase, batch: u32) -> u32 {
        let code = |bits: u32| (1_u128 << (bits - 1)) - 1;
        let (a, w, e) = (code(layer.input_bits), code(layer.bits.w), code(layer.bits.e));
        let product = match phase {
            Phase::Forward => a * w,
            Phase::Error => e * w,
            Phase::Gradient => a * e,
        };
        let greatest = product * u128::from(Self::joined(layer, phase, batch));
        u128::BITS - greatest.leading_zeros() + 1
    }

    /// Accumulators that trap and are narrower than their worst case, layer by layer. The first layer passes no error on.
    pub fn risks(&self, accumulators: &Accumulators, batch: u32) -> Vec<Risk> {
        let mut risks = Vec::new();
        for (index, layer) in self.layers.iter().enumerate() {
            for phase in Phase::ALL {
                let rule = accumulators.rule_of(phase, index);
                let (bits, worst_case_bits) = (rule.result_bits(), self.worst_case_bits(layer, phase, batch));
                let idle = phase == Phase::Error && index == 0;
                if rule.overflow == Overflow::Trap && bits < worst_case_bits && !idle {
                    risks.push(Risk { layer: layer.name.clone(), phase, bits, worst_case_bits });
                }
            }
        }
        risks
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::load;
    use crate::spec::Machine;

    fn most(text: &str, batch: u32) -> [u32; 3] {
        let (network, _, _) = load(text, "net.toml", &[]).unwrap();
        Phase::ALL.map(|phase| {
            let layers = network.layers.iter().skip(usize::from(phase == Phase::Error));
            layers.map(|layer| network.worst_case_bits(layer, phase, batch)).max().unwrap()
        })
    }

    #[test]
    fn worst_cases_are_those_of_the_contract() {
        assert_eq!(most(include_str!("../../programs/lenet5-mnist.toml"), 128), [18, 19, 32]);
        let vgg = include_str!("../../programs/vgg7-cifar10.toml");
        assert_eq!(most(vgg, 128), [21, 21, 32]);
        assert_eq!((most(vgg, 130)[2], most(vgg, 131)[2]), (32, 33));
    }

    #[test]
    fn alexnets_batch_is_too_much_for_32_bits() {
        let text = include_str!("../../programs/alexnet-imagenet.toml");
        let (network, recipe, _) = load(text, "alexnet.toml", &[]).unwrap();
        let risks = network.risks(&Machine::default().accumulators, recipe.batch);
        assert_eq!((risks[0].layer.as_str(), risks[0].phase, risks[0].bits), ("conv0", Phase::Gradient, 32));
        assert!(risks[0].to_string().contains("accumulators.gradient.bits=35"), "{}", risks[0]);
    }
}
