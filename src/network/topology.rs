//! SCALE-Sim's topology files: layers as products of matrices, read from CSV in both forms it has. Owns what such a file says;
//! must not know an array. The text is split by hand: its fields are never quoted, and an error points at one of them.

use std::ops::Range;

use crate::spec::SourceError;

/// How a topology file writes its layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopologyForm {
    /// Name, IFMAP height and width, filter height and width, channels, filters, stride, and perhaps a second stride.
    Convolution,
    /// Name, M, N, K.
    Product,
}

/// A layer as one product of matrices.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ProductShape {
    /// Its name.
    pub name: String,
    /// Rows of the left matrix: output pixels.
    pub m: u64,
    /// Its columns, which are reduced: the filter's taps and channels.
    pub k: u64,
    /// Columns of the right matrix: filters.
    pub n: u64,
    /// How many such products the layer is: a depth-wise layer has one for each channel.
    pub times: u64,
}

/// Greatest number a field may hold, and most products of a layer: no count of cycles overflows on any array.
const MOST: u64 = 1 << 20;
const MOST_WORK: u128 = 1 << 44;

/// Reads a topology file; `form` is told by its header where it is not given. The first line is a header, as in SCALE-Sim.
///
/// # Errors
/// The first field that is missing, no number or out of range, with its line and column.
pub fn read_topology(
    text: &str,
    origin: &str,
    form: Option<TopologyForm>,
) -> Result<Vec<ProductShape>, SourceError> {
    let file = File { text, origin };
    let mut lines = file.lines().filter(|fields| fields.iter().any(|f| !f.text.is_empty()));
    let header = lines
        .next()
        .ok_or_else(|| SourceError::new(origin, text, 0..0, "the file is empty").with_hint(FORMS))?;
    let form = match form {
        Some(form) => form,
        None => file.form(&header)?,
    };
    if let Some(number) = header.iter().skip(1).find(|f| f.text.parse::<u64>().is_ok()) {
        return Err(file.error(number, "a layer stands where the header does").with_hint(
            "SCALE-Sim takes the first line for a header and skips it; put one before the layers",
        ));
    }
    let layers: Result<Vec<_>, _> = lines.map(|fields| file.layer(&fields, form)).collect();
    let layers = layers?;
    match layers.is_empty() {
        true => {
            Err(SourceError::new(origin, text, 0..0, "the file has a header and no layer").with_hint(FORMS))
        }
        false => Ok(layers),
    }
}

const FORMS: &str = "a layer a line, after a header: `Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, \
                     Num Filter, Strides,` or `Layer, M, N, K,`";

struct File<'t> {
    text: &'t str,
    origin: &'t str,
}

/// A field without the blanks around it, and where it stands.
struct Field<'t> {
    text: &'t str,
    span: Range<usize>,
}

impl<'t> File<'t> {
    /// The fields of each line, a last empty one (files end lines with a comma) left out.
    fn lines(&self) -> impl Iterator<Item = Vec<Field<'t>>> + use<'t> {
        let text = self.text;
        let mut begin = 0;
        text.split_inclusive('\n').map(move |line| {
            let mut at = begin;
            begin += line.len();
            let mut fields = Vec::new();
            for raw in line.split(',') {
                let blank = |c: char| c.is_whitespace() || c == '\u{feff}';
                let field = raw.trim_matches(blank);
                let first = at + raw.len() - raw.trim_start_matches(blank).len();
                fields.push(Field { text: field, span: first..first + field.len() });
                at += raw.len() + 1;
            }
            while fields.last().is_some_and(|f| f.text.is_empty()) {
                fields.pop();
            }
            fields
        })
    }

    fn error(&self, field: &Field<'_>, message: impl Into<String>) -> SourceError {
        SourceError::new(self.origin, self.text, field.span.clone(), message)
    }

    /// The form that a header tells.
    fn form(&self, header: &[Field<'_>]) -> Result<TopologyForm, SourceError> {
        let names: Vec<String> = header.iter().skip(1).map(|f| f.text.to_lowercase()).collect();
        if names.iter().any(|n| n.contains("ifmap") || n.contains("filter")) {
            return Ok(TopologyForm::Convolution);
        }
        if names.len() >= 3 && names[..3] == ["m", "n", "k"] {
            return Ok(TopologyForm::Product);
        }
        let all = header.first().map_or(0, |f| f.span.start)..header.last().map_or(0, |f| f.span.end);
        Err(SourceError::new(self.origin, self.text, all, "this header tells neither form of a topology")
            .with_hint(format!("say it with --layout conv or --layout gemm; {FORMS}")))
    }

    fn layer(&self, fields: &[Field<'t>], form: TopologyForm) -> Result<ProductShape, SourceError> {
        let columns: &[&str] = match form {
            TopologyForm::Convolution => &[
                "IFMAP height",
                "IFMAP width",
                "filter height",
                "filter width",
                "channels",
                "filters",
                "stride",
            ],
            TopologyForm::Product => &["M", "N", "K"],
        };
        let numbers = columns.iter().enumerate().map(|(i, column)| self.number(fields, i + 1, column));
        let numbers: Vec<u64> = numbers.collect::<Result<_, _>>()?;
        let mut more = &fields[columns.len() + 1..];
        let mut second_stride = None;
        if let (TopologyForm::Convolution, [field, rest @ ..]) = (form, more)
            && !field.text.contains(':')
        {
            second_stride = Some(self.number(fields, columns.len() + 1, "stride across")?);
            more = rest;
        }
        self.dense(more)?;
        let name = fields[0].text.to_owned();
        let (shape, last) = match numbers[..] {
            [height, width, rows, cols, channels, filters, stride] => {
                let m = self.places(fields, [1, 3], [height, rows, stride])?
                    * self.places(fields, [2, 4], [width, cols, second_stride.unwrap_or(stride)])?;
                let depthwise = name.contains("DP");
                let (times, channels) = if depthwise { (channels, 1) } else { (1, channels) };
                (ProductShape { name, m, k: rows * cols * channels, n: filters, times }, 7)
            }
            [m, n, k] => (ProductShape { name, m, k, n, times: 1 }, 3),
            _ => return Err(self.error(&fields[0], "this layer has no such form").with_hint(FORMS)),
        };
        let work = [shape.m, shape.k, shape.n, shape.times].map(u128::from).into_iter().product::<u128>();
        if work > MOST_WORK {
            return Err(self
                .error(&fields[last], format!("this layer has {work} products, more than {MOST_WORK}"))
                .with_hint("cut it into several layers"));
        }
        Ok(shape)
    }

    fn number(&self, fields: &[Field<'t>], index: usize, column: &str) -> Result<u64, SourceError> {
        let Some(field) = fields.get(index) else {
            let (first, last) = (&fields[0], &fields[fields.len() - 1]);
            let message = format!("the line ends before its {column}, field {}", index + 1);
            return Err(SourceError::new(self.origin, self.text, first.span.start..last.span.end, message)
                .with_hint(FORMS));
        };
        match field.text.parse::<u64>() {
            Ok(number @ 1..=MOST) => Ok(number),
            _ => Err(self
                .error(field, format!("the {column} cannot be `{}`", field.text))
                .with_hint(format!("a whole number, 1 to {MOST}"))),
        }
    }

    /// Places of a filter along one side, as SCALE-Sim counts them: one that reaches beyond the edge too.
    fn places(
        &self,
        fields: &[Field<'t>],
        [side, filter]: [usize; 2],
        [of, size, stride]: [u64; 3],
    ) -> Result<u64, SourceError> {
        match (of + stride).checked_sub(size) {
            Some(room) if of >= size => Ok(room.div_ceil(stride)),
            _ => {
                let message = format!("a filter of {size} does not fit an IFMAP of {}", fields[side].text);
                Err(self.error(&fields[filter], message))
            }
        }
    }

    /// Columns behind the layer: only a ratio of sparsity, which must be dense.
    fn dense(&self, more: &[Field<'t>]) -> Result<(), SourceError> {
        let Some(field) = more.first() else { return Ok(()) };
        let ratio = field.text.split_once(':').map(|(n, m)| (n.trim(), m.trim()));
        match ratio {
            Some((n, m)) if n == m && more.len() == 1 => Ok(()),
            Some(_) if more.len() == 1 => Err(self
                .error(field, format!("weights of {} are sparse, which this array is not", field.text))
                .with_hint("write 1:1, or leave the column out, for the dense layer")),
            _ => Err(self.error(field, "this field is one too many").with_hint(FORMS)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides,\n";

    fn conv(line: &str) -> Result<Vec<ProductShape>, SourceError> {
        read_topology(&format!("{HEADER}{line}\n"), "t.csv", None)
    }

    fn shape(line: &str) -> (u64, u64, u64, u64) {
        let layers = conv(line).expect(line);
        (layers[0].m, layers[0].k, layers[0].n, layers[0].times)
    }

    #[test]
    fn a_convolution_is_a_product_of_pixels_taps_and_filters() {
        assert_eq!(shape("Conv1, 227, 227, 11, 11, 3, 96, 4,"), (55 * 55, 363, 96, 1));
        assert_eq!(shape("odd,13,17,3,5,7,19,1"), (11 * 13, 105, 19, 1));
        // (14 - 3) / 2 is no whole number: SCALE-Sim counts the place beyond.
        assert_eq!(shape("strided, 15, 14, 3, 3, 10, 33, 2,"), (7 * 7, 90, 33, 1));
        assert_eq!(shape("two strides, 9, 9, 1, 1, 4, 8, 2, 4"), (5 * 3, 4, 8, 1));
        assert_eq!(shape("DPconv, 14, 14, 3, 3, 64, 1, 1,"), (144, 9, 1, 64));
    }

    #[test]
    fn files_are_read_as_they_are_found() {
        let text =
            "\u{feff}Layer , M, N, K, Sparsity,\r\n\r\nQKV0, 512 ,\t768, 2304,1:1,\r\n,,,\r\nfc,1,10,84\r\n";
        let layers = read_topology(text, "g.csv", None).expect("two layers");
        let found: Vec<_> = layers.iter().map(|l| (l.name.as_str(), l.m, l.k, l.n)).collect();
        assert_eq!(found, [("QKV0", 512, 2304, 768), ("fc", 1, 84, 10)]);
        let layers = read_topology("a,b,c,d\nfc,1,10,84\n", "g.csv", Some(TopologyForm::Product));
        assert_eq!(layers.expect("a layer").len(), 1);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line_and_column() {
        for (line, named) in [
            ("c, 8, 8, 3, x, 1, 1, 1,", ["t.csv:2:13", "filter width"]),
            ("c, 8, 8, 3, 3, 0, 1, 1,", ["t.csv:2:16", "channels"]),
            ("c, 8, 8, 3, 3, 1,", ["t.csv:2:1", "filters"]),
            ("c, 8, 8, 9, 3, 1, 1, 1,", ["t.csv:2:10", "does not fit"]),
            ("c, 8, 8, 3, 3, 1, 1, 1, 2:4", ["t.csv:2:25", "sparse"]),
            ("c, 8, 8, 3, 3, 1, 1, 1, 1, 7", ["t.csv:2:28", "too many"]),
            ("c, 1000000, 1000000, 1, 1, 1000000, 1000000, 1,", ["t.csv:2:46", "more than"]),
        ] {
            let error = conv(line).expect_err(line).to_string();
            named.iter().for_each(|word| assert!(error.contains(word), "{word}: {error}"));
        }
        for (text, named) in [
            ("", "empty"),
            ("Layer, M, N, K,\n", "no layer"),
            ("fc, 1, 10, 84,\nfc2, 1, 10, 84,\n", "--layout"),
            ("fc, 1, 2, 3, 4, 5, 6, ifmap", "header"),
        ] {
            let error = read_topology(text, "t.csv", None).expect_err(text).to_string();
            assert!(error.contains(named), "{named}: {error}");
        }
    }
}
