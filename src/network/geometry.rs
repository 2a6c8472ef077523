//! From what was written of each layer to layers with shapes. Owns the rules shapes must keep; must not know files:
//! errors name a layer and the key that breaks a rule.

use crate::network::layer::scale_log2;
use crate::network::{Bits, Layer, LayerKind, Pad, Pool, Shape, Variant};

/// One `[[layer]]` as typed, its values in range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LayerChoice {
    pub(crate) kind: LayerKind,
    /// Output channels.
    pub(crate) channels: u32,
    /// Rows and columns; none where dense.
    pub(crate) kernel: Option<(u32, u32)>,
    pub(crate) pad: Option<Pad>,
    pub(crate) stride: Option<u32>,
    pub(crate) pool: Option<u32>,
    pub(crate) pool_stride: Option<u32>,
    pub(crate) relu: Option<bool>,
    /// Widths of its own.
    pub(crate) bits: LayerBits,
}

/// Widths a layer has of its own; where it says none it has the network's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct LayerBits {
    pub(crate) w: Option<u32>,
    pub(crate) a: Option<u32>,
    pub(crate) g: Option<u32>,
    pub(crate) e: Option<u32>,
}

impl LayerBits {
    /// The layer's widths within a network's.
    fn within(self, bits: Bits) -> Bits {
        Bits {
            w: self.w.unwrap_or(bits.w),
            a: self.a.unwrap_or(bits.a),
            g: self.g.unwrap_or(bits.g),
            e: self.e.unwrap_or(bits.e),
            r: bits.r,
        }
    }
}

/// A rule of shapes that a layer breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ShapeError {
    pub(crate) layer: usize,
    /// The key to point at.
    pub(crate) key: &'static str,
    pub(crate) message: String,
    pub(crate) hint: String,
}

/// What all layers share.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Common {
    pub(crate) input: Shape,
    pub(crate) classes: u32,
    pub(crate) bits: Bits,
    pub(crate) variant: Variant,
}

/// The layers, first to last.
pub(crate) fn layers(common: Common, choices: &[LayerChoice]) -> Result<Vec<Layer>, ShapeError> {
    let (mut input, mut input_bits) = (common.input, common.bits.a);
    let mut layers = Vec::with_capacity(choices.len());
    for (index, choice) in choices.iter().enumerate() {
        let place = Place { index, choice, last: index + 1 == choices.len() };
        let layer = place.layer(input, input_bits, common)?;
        (input, input_bits) = (layer.output, layer.bits.a);
        layers.push(layer);
    }
    Ok(layers)
}

/// One layer's choices and where it stands.
struct Place<'a> {
    index: usize,
    choice: &'a LayerChoice,
    last: bool,
}

impl Place<'_> {
    fn layer(&self, input: Shape, input_bits: u32, common: Common) -> Result<Layer, ShapeError> {
        self.check_last(common.classes)?;
        let choice = self.choice;
        let bits = choice.bits.within(common.bits);
        if bits.w > bits.g {
            let message = format!(
                "{}: weights of W = {} bits cannot come from stored weights of G = {}",
                self.name(),
                bits.w,
                bits.g
            );
            return Err(self.error("bits", message, "W must be at most G"));
        }
        let input = match choice.kind {
            LayerKind::Conv => input,
            LayerKind::Fc => self.flattened(input)?,
        };
        let ((kernel_h, kernel_w), pad, stride) = self.window()?;
        let rows = self.axis("rows", input.height, kernel_h, stride, pad)?;
        let columns = self.axis("columns", input.width, kernel_w, stride, pad)?;
        let pool = self.pool(rows.outputs, columns.outputs)?;
        let pooled = |outputs: u32| pool.map_or(outputs, |pool| (outputs - pool.window) / pool.step + 1);
        let n_in = u64::from(kernel_h) * u64::from(kernel_w) * u64::from(input.channels);
        Ok(Layer {
            name: self.name(),
            index: self.index,
            kind: choice.kind,
            input,
            kernel_h,
            kernel_w,
            stride,
            pad,
            pad_top: rows.before,
            pad_bottom: rows.after,
            pad_left: columns.before,
            pad_right: columns.after,
            out_h: rows.outputs,
            out_w: columns.outputs,
            channels: choice.channels,
            pool,
            output: Shape::new(pooled(rows.outputs), pooled(columns.outputs), choice.channels),
            relu: choice.relu.unwrap_or(!self.last),
            last: self.last,
            scale_log2: scale_log2(n_in, bits.w, common.variant),
            input_bits,
            bits,
            variant: common.variant,
        })
    }

    fn check_last(&self, classes: u32) -> Result<(), ShapeError> {
        if !self.last {
            return Ok(());
        }
        let outputs = self.choice.channels;
        if self.choice.kind == LayerKind::Conv {
            let message = format!("the last layer, {}, is a convolution", self.name());
            return Err(self.error(
                "conv",
                message,
                format!("end with [[layer]] fc = {classes}, one output a class"),
            ));
        }
        if outputs != classes {
            let message =
                format!("the last layer, {}, has {outputs} outputs for {classes} classes", self.name());
            return Err(self.error("fc", message, format!("write fc = {classes}, one output a class")));
        }
        if self.choice.relu == Some(true) {
            let message = format!("the last layer, {}, has a ReLU", self.name());
            return Err(self.error("relu", message, "its accumulators are the outputs: leave `relu` out"));
        }
        Ok(())
    }

    fn flattened(&self, input: Shape) -> Result<Shape, ShapeError> {
        let inputs = u32::try_from(input.elements()).map_err(|_| {
            let message = format!("{} would have {} inputs", self.name(), input.elements());
            self.error("fc", message, "a dense layer has at most 2^32 - 1 inputs: pool before it")
        })?;
        Ok(Shape::new(1, 1, inputs))
    }

    /// Kernel, padding and stride.
    fn window(&self) -> Result<((u32, u32), Pad, u32), ShapeError> {
        let choice = self.choice;
        if choice.kind == LayerKind::Conv {
            let kernel = choice.kernel.ok_or_else(|| {
                let message = format!("{} has no kernel", self.name());
                self.error("conv", message, "write kernel = 3, or kernel = [rows, columns]")
            })?;
            return Ok((kernel, choice.pad.unwrap_or(Pad::Valid), choice.stride.unwrap_or(1)));
        }
        let given = [
            ("kernel", choice.kernel.is_some()),
            ("pad", choice.pad.is_some()),
            ("stride", choice.stride.is_some()),
            ("pool", choice.pool.is_some()),
        ];
        match given.into_iter().find(|(_, is_given)| *is_given) {
            Some((key, _)) => {
                let message = format!("{} is dense and has no `{key}`", self.name());
                Err(self.error(key, message, format!("leave `{key}` out, or write conv in place of fc")))
            }
            None => Ok(((1, 1), Pad::Valid, 1)),
        }
    }

    fn axis(&self, axis: &str, inputs: u32, kernel: u32, stride: u32, pad: Pad) -> Result<Axis, ShapeError> {
        match pad {
            Pad::Same => {
                let outputs = inputs.div_ceil(stride);
                let padding = ((outputs - 1) * stride + kernel).saturating_sub(inputs);
                Ok(Axis { outputs, before: padding / 2, after: padding.div_ceil(2) })
            }
            Pad::Valid if kernel > inputs => {
                let message =
                    format!("the kernel of {} has {kernel} {axis}, its input {inputs}", self.name());
                Err(self.error(
                    "kernel",
                    message,
                    "use a smaller kernel, less pooling before it, or pad = \"same\"",
                ))
            }
            Pad::Valid => Ok(Axis { outputs: (inputs - kernel) / stride + 1, before: 0, after: 0 }),
        }
    }

    fn pool(&self, rows: u32, columns: u32) -> Result<Option<Pool>, ShapeError> {
        let Some(window) = self.choice.pool else {
            return match self.choice.pool_stride {
                None => Ok(None),
                Some(_) => {
                    let message = format!("{} has `pool_stride` without `pool`", self.name());
                    Err(self.error("pool_stride", message, "write pool = 2 beside it, or leave it out"))
                }
            };
        };
        if window > rows || window > columns {
            let message = format!(
                "the pool of {} has windows of {window}×{window}, its map is {rows}×{columns}",
                self.name()
            );
            return Err(self.error("pool", message, "use a smaller window, or leave `pool` out"));
        }
        Ok(Some(Pool { window, step: self.choice.pool_stride.unwrap_or(window) }))
    }

    fn name(&self) -> String {
        format!("{}{}", self.choice.kind.name(), self.index)
    }

    fn error(&self, key: &'static str, message: String, hint: impl Into<String>) -> ShapeError {
        ShapeError { layer: self.index, key, message, hint: hint.into() }
    }
}

/// One axis of a convolution.
struct Axis {
    outputs: u32,
    before: u32,
    after: u32,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Phase;

    fn conv(channels: u32, kernel: u32, pad: Pad, pool: Option<u32>) -> LayerChoice {
        LayerChoice {
            kind: LayerKind::Conv,
            channels,
            kernel: Some((kernel, kernel)),
            pad: Some(pad),
            stride: None,
            pool,
            pool_stride: None,
            relu: None,
            bits: LayerBits::default(),
        }
    }

    fn fc(channels: u32) -> LayerChoice {
        let none = conv(channels, 1, Pad::Valid, None);
        LayerChoice { kind: LayerKind::Fc, kernel: None, pad: None, ..none }
    }

    fn build(input: Shape, choices: &[LayerChoice]) -> Result<Vec<Layer>, ShapeError> {
        layers(Common { input, classes: 10, bits: Bits::default(), variant: Variant::Code }, choices)
    }

    const CIFAR: Shape = Shape::new(32, 32, 3);
    const MNIST: Shape = Shape::new(28, 28, 1);

    fn vgg() -> Vec<Layer> {
        let same = |channels, pool| conv(channels, 3, Pad::Same, pool);
        let choices = [
            same(128, None),
            same(128, Some(2)),
            same(256, None),
            same(256, Some(2)),
            same(512, None),
            same(512, Some(2)),
            fc(1024),
            fc(10),
        ];
        build(CIFAR, &choices).expect("the VGG-like net")
    }

    #[test]
    fn lenet_has_the_maps_and_scales_of_the_contract() {
        let choices = [conv(32, 5, Pad::Valid, Some(2)), conv(64, 5, Pad::Valid, Some(2)), fc(512), fc(10)];
        let layers = build(MNIST, &choices).expect("the LeNet");
        assert_eq!(layers.iter().map(|layer| layer.scale_log2).collect::<Vec<_>>(), [1, 4, 4, 3]);
        assert_eq!(layers.iter().map(|layer| layer.out_h).collect::<Vec<_>>(), [24, 8, 1, 1]);
        assert_eq!(layers[1].output, Shape::new(4, 4, 64));
        assert_eq!(layers[2].input, Shape::new(1, 1, 1024));
        assert_eq!(
            layers.iter().map(|layer| layer.name.as_str()).collect::<Vec<_>>(),
            ["conv0", "conv1", "fc2", "fc3"]
        );
        assert_eq!(layers.iter().map(|layer| layer.relu).collect::<Vec<_>>(), [true, true, true, false]);
        // Fan-ins from 25 on draw from ±L_min: one and a half steps of a 2-bit code.
        assert!(layers.iter().all(|layer| layer.weight_limit_fixed() == 3 << 23));
    }

    #[test]
    fn the_vgg_net_has_the_scales_and_products_of_the_contract() {
        let layers = vgg();
        assert_eq!(layers.iter().map(|layer| layer.scale_log2).collect::<Vec<_>>(), [1, 4, 4, 4, 4, 5, 5, 4]);
        let all = |phase| layers.iter().map(|layer| layer.products(phase).all).sum::<u64>();
        assert_eq!(Phase::ALL.map(all).iter().sum::<u64>(), 1_844_213_760);
        assert_eq!(layers[5].output, Shape::new(4, 4, 512));
    }

    #[test]
    fn same_padding_puts_the_smaller_half_before() {
        let strided = LayerChoice { stride: Some(2), ..conv(8, 4, Pad::Same, None) };
        let layers = build(Shape::new(7, 8, 3), &[strided, fc(10)]).expect("a net");
        let layer = &layers[0];
        assert_eq!((layer.out_h, layer.pad_top, layer.pad_bottom), (4, 1, 2));
        assert_eq!((layer.out_w, layer.pad_left, layer.pad_right), (4, 1, 1));
    }

    #[test]
    fn a_pool_drops_what_fills_no_window() {
        let layers = build(Shape::new(9, 9, 1), &[conv(4, 3, Pad::Valid, Some(2)), fc(10)]).expect("a net");
        assert_eq!(layers[0].output, Shape::new(3, 3, 4));
        let overlapping = LayerChoice { pool_stride: Some(2), ..conv(4, 3, Pad::Valid, Some(3)) };
        let layers = build(Shape::new(9, 9, 1), &[overlapping, fc(10)]).expect("a net");
        assert_eq!(layers[0].output, Shape::new(3, 3, 4));
    }

    #[test]
    fn few_inputs_draw_from_the_wider_range() {
        let layers = build(Shape::new(8, 8, 1), &[conv(4, 1, Pad::Valid, None), fc(10)]).expect("a net");
        assert_eq!(layers[0].n_in(), 1);
        assert!((layers[0].weight_limit() - 3_f64.sqrt()).abs() < 1e-15);
        // round(√3 · 2 · 2^24)
        assert_eq!(layers[0].weight_limit_fixed(), 58_117_981);
    }

    #[test]
    fn shapes_that_do_not_fit_name_the_layer_and_the_key() {
        let small = Shape::new(4, 4, 1);
        let refused: [(&str, &[LayerChoice]); 8] = [
            ("kernel", &[conv(4, 5, Pad::Valid, None), fc(10)]),
            ("pool", &[conv(4, 3, Pad::Valid, Some(3)), fc(10)]),
            ("conv", &[conv(10, 3, Pad::Valid, None)]),
            ("fc", &[conv(4, 3, Pad::Valid, None), fc(9)]),
            ("relu", &[LayerChoice { relu: Some(true), ..fc(10) }]),
            ("stride", &[LayerChoice { stride: Some(1), ..fc(10) }]),
            ("conv", &[LayerChoice { kernel: None, ..conv(4, 3, Pad::Same, None) }, fc(10)]),
            ("pool_stride", &[LayerChoice { pool_stride: Some(1), ..fc(10) }]),
        ];
        for (key, choices) in refused {
            let error = build(small, choices).expect_err(key);
            assert_eq!(error.key, key, "{error:?}");
            assert!(error.message.contains(&format!("{}{}", choices[error.layer].kind.name(), error.layer)));
        }
    }
}
