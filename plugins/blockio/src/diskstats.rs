//! Lines of /proc/diskstats.

/// How many numbers follow a device's name: 17 since 5.5, and later kernels
/// may append more.
const NUMBERS: usize = 17;

/// One line: the name of a device or partition and its statistics, in the
/// kernel's units.
#[derive(Debug, PartialEq, Eq)]
pub struct Line<'a> {
    pub name: &'a str,
    numbers: [u64; NUMBERS],
}

/// An operation's columns: completed, merged, sectors, milliseconds. Flushes
/// have the first and the last only.
#[derive(Debug, PartialEq, Eq)]
pub struct Operation {
    pub completed: u64,
    pub merged: u64,
    pub bytes: u64,
    pub nanoseconds: u64,
}

impl<'a> Line<'a> {
    /// `None` for what is no line of a device.
    pub fn parse(line: &'a [u8]) -> Option<Self> {
        let mut words = line.split(|&byte| byte == b' ').filter(|word| !word.is_empty());
        let name = std::str::from_utf8(words.nth(2)?).ok()?;
        let mut numbers = [0; NUMBERS];
        for number in &mut numbers {
            *number = decimal(words.next()?)?;
        }
        Some(Self { name, numbers })
    }

    /// Whether the device was ever used.
    pub fn used(&self) -> bool {
        self.numbers != [0; NUMBERS]
    }

    pub fn reads(&self) -> Operation {
        self.operation(0)
    }

    pub fn writes(&self) -> Operation {
        self.operation(4)
    }

    pub fn discards(&self) -> Operation {
        self.operation(11)
    }

    pub fn flushes(&self) -> Operation {
        Operation {
            completed: self.numbers[15],
            merged: 0,
            bytes: 0,
            nanoseconds: nanoseconds(self.numbers[16]),
        }
    }

    pub fn in_flight(&self) -> u64 {
        self.numbers[8]
    }

    /// Time in which at least one operation was in flight, in nanoseconds.
    pub fn busy(&self) -> u64 {
        nanoseconds(self.numbers[9])
    }

    /// Time in flight, added up over operations, in nanoseconds.
    pub fn queued(&self) -> u64 {
        nanoseconds(self.numbers[10])
    }

    fn operation(&self, first: usize) -> Operation {
        let [completed, merged, sectors, milliseconds] = std::array::from_fn(|i| self.numbers[first + i]);
        // Sectors are 512 bytes here, whatever the device's own are.
        let bytes = sectors.wrapping_mul(512);
        Operation { completed, merged, bytes, nanoseconds: nanoseconds(milliseconds) }
    }
}

fn nanoseconds(milliseconds: u64) -> u64 {
    milliseconds.wrapping_mul(1_000_000)
}

fn decimal(word: &[u8]) -> Option<u64> {
    word.iter().try_fold(0u64, |value, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        Some(value.wrapping_mul(10).wrapping_add(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &[u8] =
        b" 254       0 vda 35871 10214 4886378 38907 9556 25386 3009928 11618 3 19920 51009 5499 46 286976 436 1081 47";

    #[test]
    fn a_disk() {
        let line = Line::parse(LINE).unwrap();
        assert_eq!(line.name, "vda");
        assert!(line.used());
        let reads = Operation {
            completed: 35871,
            merged: 10214,
            bytes: 4_886_378 * 512,
            nanoseconds: 38_907_000_000,
        };
        assert_eq!(line.reads(), reads);
        assert_eq!(line.writes().completed, 9556);
        assert_eq!(line.writes().bytes, 3_009_928 * 512);
        assert_eq!(line.discards().completed, 5499);
        assert_eq!(line.discards().nanoseconds, 436_000_000);
        assert_eq!(line.flushes().completed, 1081);
        assert_eq!(line.flushes().nanoseconds, 47_000_000);
        assert_eq!(line.in_flight(), 3);
        assert_eq!(line.busy(), 19_920_000_000);
        assert_eq!(line.queued(), 51_009_000_000);
    }

    #[test]
    fn never_used() {
        assert!(!Line::parse(b"   7       0 loop0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0").unwrap().used());
    }

    #[test]
    fn later_kernels_may_append() {
        assert!(Line::parse(&[LINE, b" 1 2 3"].concat()).is_some());
    }

    #[test]
    fn nonsense() {
        for text in ["", "   7       0 loop0", "7 0 sda 1 2 3", "7 0 sda 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 x"] {
            assert_eq!(Line::parse(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(Line::parse(&[b"7 0 \xff", &LINE[12..]].concat()), None);
    }
}
