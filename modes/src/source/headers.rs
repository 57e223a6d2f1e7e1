//! What a client says with its request for a snapshot: written by
//! [`Endpoint`](super::Endpoint), read by whatever serves snapshots.

use std::fmt::Write;

use axum::http::{HeaderMap, header};

use crate::wire::Schemas;

/// The header with which a client lists the hashes of the schemas it holds.
pub const SCHEMAS_HEADER: &str = "rezolus-schemas";

/// The header with which a client asks for a snapshot that is not shared.
pub(super) const NO_CACHE: (&str, &str) = ("cache-control", "no-cache");

/// The header must fit where an agent takes it; an agent has some fifty groups.
const MOST_HELD: usize = 256;

/// What a client wants to be told.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Not these schemas.
    pub held: Vec<(u64, u64)>,
    /// Not a snapshot from before the request.
    pub fresh: bool,
}

impl Wanted {
    /// What cannot be made sense of is passed over.
    pub fn of(headers: &HeaderMap) -> Self {
        let held = items(headers, SCHEMAS_HEADER).filter_map(hash).collect();
        let fresh = items(headers, header::CACHE_CONTROL.as_str())
            .any(|directive| directive.eq_ignore_ascii_case(NO_CACHE.1));
        Self { held, fresh }
    }
}

/// The items of a header that is a list, and may be there several times.
fn items<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',').map(str::trim))
}

/// A hash in 32 hexadecimal digits.
fn hash(text: &str) -> Option<(u64, u64)> {
    // A sign would be taken for a part of the number.
    if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let half = |range| u64::from_str_radix(text.get(range)?, 16).ok();
    Some((half(0..16)?, half(16..32)?))
}

/// The value of [`SCHEMAS_HEADER`]: 32 hexadecimal digits each.
pub(super) fn held(schemas: &Schemas) -> String {
    let mut text = String::new();
    for (high, low) in schemas.hashes().take(MOST_HELD) {
        let comma = if text.is_empty() { "" } else { "," };
        // Writing into a string does not fail.
        let _ = write!(text, "{comma}{high:016x}{low:016x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(headers: &[(&'static str, &str)]) -> Wanted {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        Wanted::of(&map)
    }

    #[test]
    fn what_is_sent_is_understood() {
        let mut schemas = Schemas::default();
        crate::wire::decode(include_bytes!("../../tests/fixtures/wire/v3.msgpack"), &mut schemas).unwrap();
        let sent = held(&schemas);
        assert!(!sent.is_empty());
        let understood = wanted(&[(SCHEMAS_HEADER, &sent), NO_CACHE]);
        assert_eq!(understood, Wanted { held: schemas.hashes().collect(), fresh: true });
    }

    #[test]
    fn nonsense_is_passed_over() {
        let hash = "000000000000000100000000000000ff";
        let odd = format!("0, {hash} ,nonsense,, +00000000000000100000000000000ff,{hash}0");
        assert_eq!(wanted(&[(SCHEMAS_HEADER, &odd)]).held, [(1, 255)]);
        assert_eq!(wanted(&[(SCHEMAS_HEADER, "x"), (SCHEMAS_HEADER, hash)]).held, [(1, 255)]);
        assert_eq!(wanted(&[]), Wanted::default());
        for (directives, fresh) in
            [("No-Cache", true), ("max-age=0, no-cache", true), ("no-cached", false), ("max-age=0", false)]
        {
            assert_eq!(wanted(&[("cache-control", directives)]).fresh, fresh, "{directives}");
        }
    }
}
