//! Numbers, durations and strings as they are written.

/// A text in quotes, as Go's `%q` has it.
pub fn quoted(text: &str) -> String {
    let escaped: String =
        text.chars().map(|c| if c == '"' { "\\\"".to_owned() } else { escaped(c) }).collect();
    format!("\"{escaped}\"")
}

/// A character in quotes, as Go's `%q` has it.
pub fn quoted_char(c: char) -> String {
    if c == '\'' { "'\\''".to_owned() } else { format!("'{}'", escaped(c)) }
}

fn escaped(c: char) -> String {
    match c {
        '\\' => "\\\\".to_owned(),
        '\x07' => "\\a".to_owned(),
        '\x08' => "\\b".to_owned(),
        '\x0c' => "\\f".to_owned(),
        '\n' => "\\n".to_owned(),
        '\r' => "\\r".to_owned(),
        '\t' => "\\t".to_owned(),
        '\x0b' => "\\v".to_owned(),
        c if (c as u32) < 0x20 || c == '\x7f' => format!("\\x{:02x}", c as u32),
        c if c.is_control() => format!("\\u{:04x}", c as u32),
        c => c.to_string(),
    }
}

/// How long the number is that a text begins with; none if what is there is none.
/// Digits may be set apart by underscores, one at a time.
pub fn number_length(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let digit = |at: usize, hex: bool| {
        bytes.get(at).is_some_and(|c| if hex { c.is_ascii_hexdigit() } else { c.is_ascii_digit() })
    };
    let run = |mut at: usize, hex: bool| {
        while digit(at, hex) || (bytes.get(at) == Some(&b'_') && digit(at + 1, hex)) {
            at += 1;
        }
        at
    };
    if bytes.len() > 1 && bytes[0] == b'0' && matches!(bytes[1], b'x' | b'X') {
        return Some(run(2, true)).filter(|end| *end > 2);
    }
    let mut end = run(0, false);
    if bytes.get(end) == Some(&b'.') {
        end = run(end + 1, false);
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        if !digit(end + 1 + sign, false) {
            return None;
        }
        end = run(end + 1 + sign, false);
    }
    Some(end).filter(|end| *end > 0)
}

/// How much of the beginning of a text looks like a duration, numbers with units;
/// and whether that is a whole one.
pub fn duration_length(text: &str) -> (usize, bool) {
    let bytes = text.as_bytes();
    let mut at = 0;
    loop {
        let start = at;
        // Fractions are refused when the duration is read.
        while bytes.get(at).is_some_and(|c| c.is_ascii_digit() || (start == 0 && matches!(c, b'.' | b'_'))) {
            at += 1;
        }
        if at == start {
            return (at, at > 0);
        }
        if !bytes.get(at).is_some_and(|c| b"smhdwy".contains(c)) {
            return (at, false);
        }
        at += 1 + usize::from(bytes.get(at + 1) == Some(&b's'));
    }
}

/// What a number says.
///
/// # Errors
///
/// In Go's words.
pub fn number(text: &str) -> Result<f64, String> {
    let plain = text.replace('_', "").to_ascii_lowercase();
    let whole = match (plain.get(..2), plain.get(2..)) {
        (Some("0x"), Some(digits)) => i64::from_str_radix(digits, 16).ok(),
        _ if plain.starts_with('0') && plain.len() > 1 => i64::from_str_radix(&plain, 8).ok(),
        _ => None,
    };
    if let Some(whole) = whole {
        return Ok(whole as f64);
    }
    let number = match plain.as_str() {
        "inf" => return Ok(f64::INFINITY),
        "nan" => return Ok(f64::NAN),
        plain => plain.parse::<f64>(),
    };
    let wrong =
        |why: &str| format!("error parsing number: strconv.ParseFloat: parsing {}: {why}", quoted(text));
    match number {
        Ok(number) if number.is_finite() => Ok(number),
        Ok(_) => Err(wrong("value out of range")),
        Err(_) => Err(wrong("invalid syntax")),
    }
}

/// What a duration says, in ms. Each unit is there once, the larger ones first.
///
/// # Errors
///
/// In Prometheus' words.
pub fn duration(text: &str) -> Result<i64, String> {
    const UNITS: [(&str, i64); 7] = [
        ("y", 365 * 86_400_000),
        ("w", 7 * 86_400_000),
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1000),
        ("ms", 1),
    ];
    let wrong = || format!("not a valid duration string: {}", quoted(text));
    let out_of_range = || "duration out of range".to_owned();
    let mut units = UNITS.iter();
    let (mut rest, mut millis) = (text, 0i64);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (count, after) = rest.split_at(digits);
        let end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let (_, length) = units.find(|(name, _)| *name == unit).ok_or_else(wrong)?;
        if count.is_empty() {
            return Err(wrong());
        }
        let part = count.parse::<i64>().ok().and_then(|count| count.checked_mul(*length));
        millis = part.and_then(|part| millis.checked_add(part)).ok_or_else(out_of_range)?;
        rest = after;
    }
    // In ns it has to fit into 64 bits.
    if millis > i64::MAX / 1_000_000 { Err(out_of_range()) } else { Ok(millis) }
}

/// What a string in quotes says, which the lexer has found to be one. What is no
/// UTF-8 becomes U+FFFD.
pub fn string(text: &str) -> String {
    let inside = &text[1..text.len() - 1];
    if text.starts_with('`') {
        return inside.to_owned();
    }
    let mut out: Vec<u8> = Vec::with_capacity(inside.len());
    let mut chars = inside.chars();
    let mut utf8 = [0; 4];
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.extend(c.encode_utf8(&mut utf8).bytes());
            continue;
        }
        let kind = chars.next().unwrap_or('\\');
        let (digits, radix) = match kind {
            'x' => (2, 16),
            'u' => (4, 16),
            'U' => (8, 16),
            '0'..='7' => (2, 8),
            _ => {
                out.push(control(kind));
                continue;
            }
        };
        let first = kind.to_digit(8).filter(|_| radix == 8).unwrap_or(0);
        let digits = chars.by_ref().take(digits).filter_map(|digit| digit.to_digit(radix));
        let code = digits.fold(first, |code, digit| code.wrapping_mul(radix).wrapping_add(digit));
        match kind {
            'u' | 'U' => {
                let c = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
                out.extend(c.encode_utf8(&mut utf8).bytes());
            }
            _ => out.push(code as u8),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// What a single escaped letter stands for; quotes and backslashes for themselves.
fn control(letter: char) -> u8 {
    match letter {
        'a' => 7,
        'b' => 8,
        'f' => 12,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 11,
        other => other as u8,
    }
}
