//! Numbers as people read them.

/// A number with its thousands apart.
pub(in crate::report) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// A quantity with a prefix: 1.23 G.
pub(in crate::report) fn scaled(value: f64, unit: &str) -> String {
    const PREFIXES: [(f64, &str); 9] = [
        (1e15, "P"),
        (1e12, "T"),
        (1e9, "G"),
        (1e6, "M"),
        (1e3, "k"),
        (1.0, ""),
        (1e-3, "m"),
        (1e-6, "µ"),
        (1e-9, "n"),
    ];
    let (scale, prefix) = PREFIXES.into_iter().find(|(s, _)| value.abs() >= *s).unwrap_or((1e-12, "p"));
    let number = value / scale;
    let digits = if number >= 100.0 {
        0
    } else if number >= 10.0 {
        1
    } else {
        2
    };
    if value == 0.0 { format!("0 {unit}") } else { format!("{number:.digits$} {prefix}{unit}") }
}

/// A count with a prefix.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
pub(in crate::report) fn counted(n: u64, unit: &str) -> String {
    scaled(n as f64, unit)
}

/// Picojoules as joules with a prefix.
pub(in crate::report) fn joules(pj: f64) -> String {
    scaled(pj * 1e-12, "J")
}

/// A share of 1.
pub(in crate::report) fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}

/// Square micrometres, from a tenth of a square millimetre on as such.
pub(crate) fn area(um2: f64) -> String {
    if um2 >= 1e5 { format!("{:.3} mm²", um2 / 1e6) } else { format!("{um2:.0} µm²") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(scaled(0.0, "J"), "0 J");
        assert_eq!(scaled(1234.0, "B"), "1.23 kB");
        assert_eq!(scaled(0.0456, "J"), "45.6 mJ");
        assert_eq!(joules(5e8), "500 µJ");
        assert_eq!([area(874.4), area(1_234_567.0)], ["874 µm²", "1.235 mm²"]);
    }
}
