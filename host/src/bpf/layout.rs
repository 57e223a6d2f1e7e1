//! Where a member of a table's row lies: read from the object's own BTF, so
//! that BPF and host share names and nothing else.

use libbpf_rs::btf::types::{Array, DataSec, Enum, Enum64, Int, IntEncoding, MemberAttr, Struct, Var};
use libbpf_rs::btf::{Btf, BtfKind, BtfType, TypeId};
use rezolus_plugin_api::manifest::{Dimension, Kind};

use crate::metric::{BUCKETS, HISTOGRAM_WORDS, MARK_WORDS};

/// A member of a row: where it starts and what it consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Offset in bytes from the start of the row.
    pub offset: usize,
    /// Lengths of its array dimensions, outermost first.
    pub dimensions: Vec<usize>,
    /// Size of one element in bytes.
    pub size: usize,
    /// Whether an element is a signed integer.
    pub signed: bool,
    /// Whether an element is a `struct histogram`.
    pub histogram: bool,
}

/// Finds a member of a struct; `a.b` is a member of a member.
pub fn field(btf: &Btf<'_>, row: TypeId, path: &str) -> Result<Field, String> {
    let mut offset = 0;
    let mut ty = row;
    for name in path.split('.') {
        let (inside, member) = member(btf, ty, name)?;
        offset += inside;
        ty = member;
    }
    let mut dimensions = Vec::new();
    let mut element = resolve(btf, ty)?;
    while element.kind() == BtfKind::Array {
        let array = Array::try_from(element).map_err(|_| "damaged BTF".to_string())?;
        dimensions.push(array.capacity());
        element = resolve(btf, array.ty())?;
    }
    match element.kind() {
        BtfKind::Int => {
            let int = Int::try_from(element).map_err(|_| "damaged BTF".to_string())?;
            let (size, signed) = (usize::from(int.bits) / 8, matches!(int.encoding, IntEncoding::Signed));
            Ok(Field { offset, dimensions, size, signed, histogram: false })
        }
        BtfKind::Struct if is_histogram(btf, &element) => {
            Ok(Field { offset, dimensions, size: HISTOGRAM_WORDS * 8, signed: false, histogram: true })
        }
        kind => Err(format!(
            "member {path} is of kind {kind:?}, not an integer, a struct histogram or an array of these"
        )),
    }
}

/// Whether a struct is laid out as `struct histogram` in histogram.bpf.h.
fn is_histogram(btf: &Btf<'_>, ty: &BtfType<'_>) -> bool {
    let is = |name: &str, offset: usize, size: usize, length: usize| {
        field(btf, ty.type_id(), name)
            .is_ok_and(|f| f.offset == offset && f.size == size && f.dimensions == [length])
    };
    ty.name().is_some_and(|name| name == "histogram")
        && is("touched", 0, 1, MARK_WORDS * 8)
        && is("bucket", MARK_WORDS * 8, 8, BUCKETS)
}

fn member(btf: &Btf<'_>, ty: TypeId, name: &str) -> Result<(usize, TypeId), String> {
    let ty = resolve(btf, ty)?;
    let record = Struct::try_from(ty).map_err(|ty| format!("{name}: a {:?} has no members", ty.kind()))?;
    for member in record.iter() {
        if member.name.is_some_and(|found| found == name) {
            return match member.attr {
                MemberAttr::Normal { offset } => Ok((offset as usize / 8, member.ty)),
                MemberAttr::BitField { offset, size: 0 } => Ok((offset as usize / 8, member.ty)),
                MemberAttr::BitField { .. } => Err(format!("member {name} is a bit field")),
            };
        }
    }
    Err(format!("struct {} has no member {name}", record.name().unwrap_or_default().to_string_lossy()))
}

fn resolve<'s>(btf: &'s Btf<'_>, ty: TypeId) -> Result<BtfType<'s>, String> {
    btf.type_by_id::<BtfType<'_>>(ty)
        .map(|ty| ty.skip_mods_and_typedefs())
        .ok_or_else(|| "damaged BTF: a type is missing".into())
}

/// The struct of a name.
pub fn record(btf: &Btf<'_>, name: &str) -> Result<(TypeId, usize), String> {
    let record: Struct<'_> =
        btf.type_by_name(name).ok_or_else(|| format!("the object's BTF has no struct {name}"))?;
    let size = size_of(btf, record.type_id())?;
    Ok((record.type_id(), size))
}

fn size_of(btf: &Btf<'_>, ty: TypeId) -> Result<usize, String> {
    use libbpf_rs::btf::HasSize;
    let ty = resolve(btf, ty)?;
    Struct::try_from(ty).map(|record| record.size()).map_err(|_| "not a struct".into())
}

/// The words, counted from the start of the row, at which each combination of
/// a metric's dimensions lies, in the order of `Manifest::combinations`.
pub fn words(
    btf: &Btf<'_>,
    field: &Field,
    dimensions: &[Dimension<'_>],
    kind: Kind,
) -> Result<Vec<usize>, String> {
    match (kind, field.histogram) {
        (Kind::Histogram, false) => return Err("the member is not a struct histogram".into()),
        (Kind::Counter | Kind::Gauge, true) => return Err("the member is a struct histogram".into()),
        _ => {}
    }
    if !field.size.is_multiple_of(8)
        || !field.offset.is_multiple_of(8)
        || (field.size != 8 && !field.histogram)
    {
        return Err(format!("numbers are aligned u64, not {} bits at byte {}", field.size * 8, field.offset));
    }
    let lengths = field.dimensions.as_slice();
    let element = field.size / 8;
    if lengths.len() != dimensions.len() {
        return Err(format!(
            "the member has {} array dimensions and the metric {} labels in `by`",
            lengths.len(),
            dimensions.len()
        ));
    }
    let mut positions = Vec::new();
    for (dimension, &length) in dimensions.iter().zip(lengths) {
        positions.push(positions_of(btf, dimension, length)?);
    }
    let mut words = vec![0];
    for (positions, &length) in positions.iter().zip(lengths) {
        words = words
            .iter()
            .flat_map(|word| positions.iter().map(move |position| word * length + position))
            .collect();
    }
    Ok(words.into_iter().map(|word| field.offset / 8 + word * element).collect())
}

/// Where each value of a list stands in an array: by the enumerators of the
/// enum that has the list's name, or else by position.
fn positions_of(btf: &Btf<'_>, dimension: &Dimension<'_>, length: usize) -> Result<Vec<usize>, String> {
    let Some(numbers) = enumerators(btf, dimension.list) else {
        return if dimension.values.len() == length {
            Ok((0..length).collect())
        } else {
            Err(format!(
                "the array has {length} elements, the list {} has {} values",
                dimension.list,
                dimension.values.len()
            ))
        };
    };
    dimension
        .values
        .iter()
        .map(|value| {
            let wanted = format!("{}_{}", dimension.list, value).to_ascii_uppercase().replace('-', "_");
            match numbers.iter().find(|(name, _)| *name == wanted) {
                Some((_, number)) if *number < length => Ok(*number),
                Some((_, number)) => {
                    Err(format!("{wanted} is {number}, beyond the array's {length} elements"))
                }
                None => Err(format!("enum {} has no enumerator {wanted}", dimension.list)),
            }
        })
        .collect()
}

fn enumerators(btf: &Btf<'_>, name: &str) -> Option<Vec<(String, usize)>> {
    if let Some(found) = btf.type_by_name::<Enum<'_>>(name) {
        return Some(
            found
                .iter()
                .filter_map(|v| Some((v.name?.to_str()?.to_string(), usize::try_from(v.value).ok()?)))
                .collect(),
        );
    }
    let found = btf.type_by_name::<Enum64<'_>>(name)?;
    Some(
        found
            .iter()
            .filter_map(|v| Some((v.name?.to_str()?.to_string(), usize::try_from(v.value).ok()?)))
            .collect(),
    )
}

/// Where the `const volatile` globals lie in the object's `.rodata`: name,
/// offset, size.
pub fn constants(btf: &Btf<'_>) -> Vec<(String, usize, usize)> {
    let Some(section) = btf.type_by_name::<DataSec<'_>>(".rodata") else {
        return Vec::new();
    };
    section
        .iter()
        .filter_map(|info| {
            let var = btf.type_by_id::<Var<'_>>(info.ty)?;
            Some((var.name()?.to_str()?.to_string(), info.offset as usize, info.size))
        })
        .collect()
}
