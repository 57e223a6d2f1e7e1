//! Thrift's compact protocol, as far as Parquet's page headers and offset indexes
//! need it ([specification]). Nothing is copied and nothing allocated: there may
//! be thousands of them in a query.
//!
//! [specification]: https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md

/// Structs may be nested so deep.
const MOST_DEPTH: u8 = 8;

/// What is left to read. Each method is None where the bytes make no sense.
#[derive(Clone, Copy, Debug)]
pub struct Thrift<'a> {
    rest: &'a [u8],
}

/// How a value is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Type(u8);

impl Type {
    const TRUE: Self = Self(1);
    const FALSE: Self = Self(2);
    const BYTE: Self = Self(3);
    const I16: Self = Self(4);
    const I64: Self = Self(6);
    const DOUBLE: Self = Self(7);
    const BINARY: Self = Self(8);
    const LIST: Self = Self(9);
    const SET: Self = Self(10);
    const STRUCT: Self = Self(12);
}

impl<'a> Thrift<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// How many bytes are left.
    pub fn left(&self) -> usize {
        self.rest.len()
    }

    fn byte(&mut self) -> Option<u8> {
        let (&first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(first)
    }

    /// A number of up to 64 bits, without a sign.
    pub fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    /// A number of 16 to 64 bits.
    pub fn integer(&mut self) -> Option<i64> {
        let zigzag = self.varint()?;
        Some((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64))
    }

    /// A struct's fields: `each` gets a field's number and type, and reads it or
    /// [skips](Self::skip) it.
    pub fn fields(&mut self, mut each: impl FnMut(&mut Self, i64, Type) -> Option<()>) -> Option<()> {
        let mut id = 0i64;
        loop {
            let header = self.byte()?;
            if header == 0 {
                return Some(());
            }
            id = match header >> 4 {
                0 => self.integer()?,
                delta => id + i64::from(delta),
            };
            each(self, id, Type(header & 15))?;
        }
    }

    /// How many elements a list has, and of which type.
    pub fn list(&mut self) -> Option<(usize, Type)> {
        let header = self.byte()?;
        let length = match header >> 4 {
            15 => usize::try_from(self.varint()?).ok()?,
            short => usize::from(short),
        };
        // An element has a byte at least.
        (length <= self.rest.len()).then_some((length, Type(header & 15)))
    }

    pub fn skip(&mut self, of: Type) -> Option<()> {
        self.skip_within(of, MOST_DEPTH)
    }

    fn skip_within(&mut self, of: Type, depth: u8) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        match of {
            Type::TRUE | Type::FALSE => Some(()),
            Type::BYTE => self.byte().map(drop),
            Type(kind) if (Type::I16.0..=Type::I64.0).contains(&kind) => self.varint().map(drop),
            Type::DOUBLE => self.skip_bytes(8),
            Type::BINARY => {
                let length = usize::try_from(self.varint()?).ok()?;
                self.skip_bytes(length)
            }
            Type::LIST | Type::SET => {
                let (length, of) = self.list()?;
                // In lists a boolean is a byte.
                let of = if matches!(of, Type::TRUE | Type::FALSE) { Type::BYTE } else { of };
                (0..length).try_for_each(|_| self.skip_within(of, depth))
            }
            Type::STRUCT => self.fields(|thrift, _, of| thrift.skip_within(of, depth)),
            // Maps do not occur in Parquet.
            _ => None,
        }
    }

    fn skip_bytes(&mut self, length: usize) -> Option<()> {
        self.take(length).map(drop)
    }

    /// So many bytes.
    pub fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structs_are_read_and_skipped() {
        // 1: i32 -3; 4: binary "ab"; 5: {1: true, 2: [i32 1, i32 2]}; 40: double; end.
        let mut bytes = vec![0x15, 0x05, 0x38, 0x02, b'a', b'b', 0x1c, 0x11, 0x19, 0x25, 0x02, 0x04, 0x00];
        bytes.extend([0x07, 80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 99]);
        let mut seen = Vec::new();
        let mut thrift = Thrift::new(&bytes);
        thrift
            .fields(|thrift, id, of| {
                seen.push(id);
                if id == 1 {
                    thrift.integer().filter(|value| *value == -3).map(drop)
                } else {
                    thrift.skip(of)
                }
            })
            .unwrap();
        assert_eq!((seen, thrift.left()), (vec![1, 4, 5, 40], 1));
        for end in 0..bytes.len() - 1 {
            assert!(Thrift::new(&bytes[..end]).fields(|thrift, _, of| thrift.skip(of)).is_none());
        }
    }

    #[test]
    fn nonsense_ends() {
        let skip = |bytes: &[u8]| Thrift::new(bytes).fields(|thrift, _, of| thrift.skip(of));
        assert!(skip(&[0x1c; 100]).is_none(), "too deep");
        assert!(skip(&[0x19, 0xf5, 0xff, 0xff, 0xff, 0xff, 0x0f]).is_none(), "too long");
        assert!(skip(&[0x1b, 0]).is_none(), "a map");
        assert!(skip(&[0x16, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1]).is_none(), "endless");
    }
}
