//! A DRAM's levels, from the channel down to the column, and where in them a burst is. What `ReadWriteTrace` of Ramulator 2 takes.

/// How many there are of each level within one of the level above; the last is the columns, a burst each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Levels(Vec<u64>);

impl std::str::FromStr for Levels {
    type Err = String;

    /// `1,1,4,4,65536,128`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` are no levels; write how many there are of each, from channels to columns of a burst, as in 1,1,4,4,65536,128"
            )
        };
        let counts: Result<Vec<u64>, _> = text.split(',').map(|count| count.trim().parse()).collect();
        let counts = counts.map_err(|_| wrong())?;
        let all = counts.iter().try_fold(1u64, |all, &count| all.checked_mul(count));
        match all {
            Some(1..) => Ok(Levels(counts)),
            _ => Err(wrong()),
        }
    }
}

impl Levels {
    /// How many bursts they hold.
    pub fn bursts(&self) -> u64 {
        self.0.iter().product()
    }

    /// Appends the place of a burst: neighbours differ in the column, then in the row, and in the channel last.
    pub(super) fn write(&self, mut burst: u64, out: &mut Vec<u8>) {
        let mut place = self.0.clone();
        for level in place.iter_mut().rev() {
            (burst, *level) = (burst / *level, burst % *level);
        }
        let words: Vec<String> = place.iter().map(u64::to_string).collect();
        out.extend(words.join(",").bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::Levels;

    #[test]
    fn the_column_comes_first_and_the_channel_last() {
        let levels: Levels = "2,1,4,8,16".parse().unwrap();
        assert_eq!(levels.bursts(), 1024);
        let place = |burst| {
            let mut out = Vec::new();
            levels.write(burst, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(
            [0, 15, 16, 128, 1023].map(place),
            ["0,0,0,0,0", "0,0,0,0,15", "0,0,0,1,0", "0,0,1,0,0", "1,0,3,7,15"]
        );
        for wrong in ["", "1,0", "1,a", "4294967296,4294967296,16"] {
            assert!(wrong.parse::<Levels>().unwrap_err().contains("write how many"), "{wrong}");
        }
    }
}
