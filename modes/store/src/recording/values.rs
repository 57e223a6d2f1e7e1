//! Numbers as files have them, whatever their type: as floats, and as times.

use arrow_schema::{DataType, TimeUnit};
use parquet::basic::Type;
use parquet::data_type::{BoolType, DataType as Physical, DoubleType, FloatType, Int32Type, Int64Type};
use parquet::errors::{ParquetError, Result as ParquetResult};

use super::part::Kind;
use crate::promql::is_absent;

/// What a column's values are, without what only says how they are packed.
pub fn plain(data: &DataType) -> &DataType {
    match data {
        DataType::Dictionary(_, values) => plain(values),
        data => data,
    }
}

/// Whether values are numbers that can be read: None if not, else whether they
/// are signed.
pub fn signed(data: &DataType) -> Option<bool> {
    use DataType::{Boolean, Float32, Float64, Int8, Int16, Int32, Int64, UInt8, UInt16, UInt32, UInt64};
    match plain(data) {
        Int8 | Int16 | Int32 | Int64 | Float32 | Float64 => Some(true),
        UInt8 | UInt16 | UInt32 | UInt64 | Boolean => Some(false),
        _ => None,
    }
}

/// Whether values are neither counts nor what could be taken for them.
pub fn is_level(data: &DataType) -> bool {
    matches!(plain(data), DataType::Float32 | DataType::Float64 | DataType::Boolean)
}

/// How many ns the unit of a column of times is; None if it is no such column.
/// Plain numbers are ns. The type is the file's own: its unit is that of what is
/// stored, whatever the writer had.
pub fn time_unit(data: &DataType, stored: Type) -> Option<i64> {
    let unit = match plain(data) {
        DataType::UInt64 | DataType::Int64 | DataType::Timestamp(TimeUnit::Nanosecond, _) => 1,
        DataType::Timestamp(TimeUnit::Microsecond, _) => 1_000,
        DataType::Timestamp(TimeUnit::Millisecond, _) => 1_000_000,
        DataType::Timestamp(TimeUnit::Second, _) => 1_000_000_000,
        _ => return None,
    };
    (stored == Type::INT64).then_some(unit)
}

/// Whether values are stored in a way that can be read.
pub fn can_read(kind: Kind, stored: Type) -> bool {
    match kind {
        Kind::Histogram { .. } => stored == Type::INT64,
        Kind::Counter | Kind::Gauge => {
            matches!(stored, Type::BOOLEAN | Type::INT32 | Type::INT64 | Type::FLOAT | Type::DOUBLE)
        }
    }
}

/// The values of the rows that have one, and which rows do; None: all.
pub type Present<T> = (Vec<T>, Option<Vec<bool>>);

/// Reads the values of a column of one physical type.
pub trait Reading {
    /// # Errors
    ///
    /// When the column is damaged.
    fn read<T: Physical>(&self) -> ParquetResult<Present<T::T>>;
}

/// Numbers as floats.
///
/// # Errors
///
/// When the column is damaged, or its type is none of numbers.
pub fn floats(reading: &impl Reading, stored: Type, signed: bool) -> ParquetResult<Present<f64>> {
    match stored {
        Type::BOOLEAN => of::<BoolType>(reading, |value| f64::from(u8::from(value))),
        Type::INT32 if signed => of::<Int32Type>(reading, f64::from),
        Type::INT32 => of::<Int32Type>(reading, |value| f64::from(value as u32)),
        Type::INT64 if signed => of::<Int64Type>(reading, |value| value as f64),
        Type::INT64 => of::<Int64Type>(reading, |value| value as u64 as f64),
        Type::FLOAT => of::<FloatType>(reading, |value| own(f64::from(value))),
        Type::DOUBLE => of::<DoubleType>(reading, own),
        other => Err(ParquetError::General(format!("{other} is no type of numbers"))),
    }
}

fn of<T: Physical>(reading: &impl Reading, float: impl Fn(T::T) -> f64) -> ParquetResult<Present<f64>> {
    let (values, present) = reading.read::<T>()?;
    Ok((values.into_iter().map(float).collect(), present))
}

/// No NaN of a file is the one that stands for nothing here.
fn own(value: f64) -> f64 {
    if is_absent(value) { f64::NAN } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::ABSENT;

    #[test]
    fn types_of_numbers_are_known_also_as_dictionaries() {
        let dictionary = DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::UInt32));
        assert_eq!(signed(&dictionary), Some(false));
        assert_eq!(signed(&DataType::Float32), Some(true));
        for none in [DataType::Utf8, DataType::Date32, DataType::Timestamp(TimeUnit::Second, None)] {
            assert_eq!(signed(&none), None);
        }
        assert!(own(ABSENT).is_nan() && !is_absent(own(ABSENT)));
    }
}
