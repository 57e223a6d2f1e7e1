//! Regular expressions as Go has them (RE2's syntax), for the `regex` crate: most is
//! the same, but not what letters are, what is special within brackets, and what is
//! refused. (Also refused is a repetition right after flags, as in `a(?i)*`, where Go
//! repeats what is before these.)

/// Ranges of Perl's classes; in Go they are ASCII.
const DIGITS: &str = "0-9";
const SPACES: &str = r"\t\n\x0C\r ";
const WORDS: &str = "0-9A-Z_a-z";
/// Names in `[:...:]`, the same in both.
const POSIX: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space",
    "upper", "word", "xdigit",
];
/// Nothing may be repeated more often, nested repetitions multiplied.
const MOST_REPEATS: u32 = 1000;

/// Translates an expression.
///
/// # Errors
///
/// Why it is none, in Go's words.
pub fn translate(expression: &str) -> Result<String, String> {
    let mut translator =
        Translator { whole: expression, rest: expression, out: String::new(), names: Vec::new() };
    translator.all().map_err(|why| format!("error parsing regexp: {why}"))?;
    Ok(translator.out)
}

struct Translator<'e> {
    whole: &'e str,
    rest: &'e str,
    out: String,
    /// Names of groups so far.
    names: Vec<&'e str>,
}

/// What came last, as far as a repetition needs to know.
#[derive(Clone, Copy)]
enum Last<'e> {
    /// Nothing that can be repeated.
    Nothing,
    /// Something in which parts may be there up to so many times.
    Atom(u32),
    /// A repetition, and the text from there on.
    Repetition(u32, &'e str),
}

impl Last<'_> {
    fn times(self) -> u32 {
        match self {
            Self::Nothing => 1,
            Self::Atom(times) | Self::Repetition(times, _) => times,
        }
    }
}

impl<'e> Translator<'e> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.rest = &self.rest[next.len_utf8()..];
        Some(next)
    }

    fn accept(&mut self, text: &str) -> bool {
        let rest = self.rest.strip_prefix(text);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// What was read since the rest of the text was this.
    fn since(&self, start: &'e str) -> &'e str {
        &start[..start.len() - self.rest.len()]
    }

    fn all(&mut self) -> Result<(), String> {
        // How often the most repeated part of each open group is there.
        let mut open: Vec<u32> = Vec::new();
        let (mut last, mut most) = (Last::Nothing, 1);
        while let Some(first) = self.peek() {
            let start = self.rest;
            most = most.max(last.times());
            last = match first {
                '(' => {
                    if self.group()? {
                        open.push(most);
                        most = 1;
                    }
                    Last::Nothing
                }
                ')' => {
                    let inner = std::mem::replace(
                        &mut most,
                        open.pop().ok_or_else(|| format!("unexpected ): `{}`", self.whole))?,
                    );
                    self.copy();
                    Last::Atom(inner)
                }
                '|' => {
                    self.copy();
                    Last::Nothing
                }
                '*' | '+' | '?' => self.repetition(start, last)?,
                '{' if self.counted().is_some() => self.repetition(start, last)?,
                '[' => {
                    self.class()?;
                    Last::Atom(1)
                }
                '\\' => self.escape()?,
                '.' | '^' | '$' => {
                    self.copy();
                    Last::Atom(1)
                }
                _ => {
                    self.next();
                    self.literal(first);
                    Last::Atom(1)
                }
            };
        }
        if open.is_empty() { Ok(()) } else { Err(format!("missing closing ): `{}`", self.whole)) }
    }

    /// Takes a character as it is.
    fn copy(&mut self) {
        let next = self.next();
        self.out.extend(next);
    }

    /// Puts out a character that stands for itself.
    fn literal(&mut self, c: char) {
        if c.is_ascii() && !c.is_ascii_alphanumeric() {
            self.out.push_str(&format!("\\x{:02X}", c as u32));
        } else {
            self.out.push(c);
        }
    }

    /// `{n}`, `{n,}`, `{n,m}` at the beginning of the rest: the counts, and the length.
    fn counted(&self) -> Option<(u32, Option<u32>, usize)> {
        let (inside, _) = self.rest.strip_prefix('{')?.split_once('}')?;
        let (least, most) =
            inside.split_once(',').map_or((inside, None), |(least, most)| (least, Some(most)));
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
            // Zeros in front make it none.
            let plain = text == "0" || !text.starts_with('0');
            (digits && plain).then(|| text.parse().unwrap_or(u32::MAX))
        };
        let least = number(least)?;
        let most = match most {
            None => Some(least),
            Some("") => None,
            Some(most) => Some(number(most)?),
        };
        Some((least, most, inside.len() + 2))
    }

    fn repetition(&mut self, start: &'e str, last: Last<'e>) -> Result<Last<'e>, String> {
        let counts = self.counted();
        let length = counts.map_or(1, |(.., length)| length);
        let operator = &start[..length];
        self.rest = &start[length..];
        if let Some((least, most, _)) = counts
            && (least > MOST_REPEATS || most.is_some_and(|most| most > MOST_REPEATS || most < least))
        {
            return Err(format!("invalid repeat count: `{operator}`"));
        }
        self.accept("?");
        let times = match last {
            Last::Nothing => return Err(format!("missing argument to repetition operator: `{operator}`")),
            Last::Repetition(_, first) => {
                return Err(format!("invalid nested repetition operator: `{}`", self.since(first)));
            }
            Last::Atom(times) => times,
        };
        let factor = counts.map_or(1, |(least, most, _)| most.unwrap_or(least)).max(1);
        if factor > 1 && times * factor > MOST_REPEATS {
            return Err(format!("invalid repeat count: `{operator}`"));
        }
        self.out.push_str(self.since(start));
        Ok(Last::Repetition(times * factor, start))
    }

    /// Passes the beginning of a group, or flags for what follows; whether it is a
    /// group.
    fn group(&mut self) -> Result<bool, String> {
        let start = self.rest;
        if !self.accept("(?") {
            self.copy();
            return Ok(true);
        }
        if self.accept("P<") || self.accept("<") {
            let name = self.rest.split_once('>').map(|(name, _)| name);
            let Some(name) = name else { return Err(format!("invalid named capture: `{start}`")) };
            self.rest = &self.rest[name.len() + 1..];
            if name.is_empty() || !name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_') {
                return Err(format!("invalid named capture: `{}`", self.since(start)));
            }
            // Theirs may begin with a digit, or be there twice: then the first one counts.
            let digit = name.starts_with(|c: char| c.is_ascii_digit());
            if digit || self.names.contains(&name) {
                self.out.push('(');
            } else {
                self.out.push_str(&format!("(?P<{name}>"));
                self.names.push(name);
            }
            return Ok(true);
        }
        let (mut negated, mut flags) = (false, false);
        loop {
            match self.next() {
                Some('i' | 'm' | 's' | 'U') => flags = true,
                Some('-') if !negated => (negated, flags) = (true, false),
                Some(end @ (':' | ')')) if !negated || flags => {
                    let flags = self.since(start);
                    // The empty set of flags has no form there.
                    self.out.push_str(if flags == "(?)" { "" } else { flags });
                    return Ok(end == ':');
                }
                Some(_) => {
                    return Err(format!("invalid or unsupported Perl syntax: `{}`", self.since(start)));
                }
                None => return Err(format!("missing closing ): `{}`", self.whole)),
            }
        }
    }

    /// Something after a backslash, outside of brackets.
    fn escape(&mut self) -> Result<Last<'e>, String> {
        let start = self.rest;
        if self.accept("\\Q") {
            let (inside, rest) = self.rest.split_once("\\E").unwrap_or((self.rest, ""));
            inside.chars().for_each(|c| self.literal(c));
            self.rest = rest;
            return Ok(if inside.is_empty() { Last::Nothing } else { Last::Atom(1) });
        }
        for (theirs, ours) in [("\\A", "\\A"), ("\\z", "\\z"), ("\\b", r"(?-u:\b)"), ("\\B", r"(?-u:\B)")] {
            if self.accept(theirs) {
                self.out.push_str(ours);
                return Ok(Last::Atom(1));
            }
        }
        if let Some((ranges, negated)) = self.perl() {
            self.out.push_str(&format!("[{}{ranges}]", if negated { "^" } else { "" }));
            return Ok(Last::Atom(1));
        }
        if let Some(class) = self.unicode(start)? {
            self.out.push_str(&class);
            return Ok(Last::Atom(1));
        }
        let c = self.escaped()?;
        self.literal(c);
        Ok(Last::Atom(1))
    }

    /// `\d` and its like: the ranges, and whether it is what is not in them.
    fn perl(&mut self) -> Option<(&'static str, bool)> {
        let class = self.rest.get(..2)?;
        let found = match class {
            "\\d" => (DIGITS, false),
            "\\D" => (DIGITS, true),
            "\\s" => (SPACES, false),
            "\\S" => (SPACES, true),
            "\\w" => (WORDS, false),
            "\\W" => (WORDS, true),
            _ => return None,
        };
        self.rest = &self.rest[2..];
        Some(found)
    }

    /// `\pL`, `\p{Greek}`, `\P{^Greek}`
    fn unicode(&mut self, start: &'e str) -> Result<Option<String>, String> {
        let mut negated = self.rest.starts_with("\\P");
        if !self.accept("\\p") && !self.accept("\\P") {
            return Ok(None);
        }
        let name = if self.accept("{") {
            let Some((name, rest)) = self.rest.split_once('}') else {
                return Err(format!("invalid character class range: `{start}`"));
            };
            self.rest = rest;
            name
        } else {
            let before = self.rest;
            self.next();
            self.since(before)
        };
        let plain = name.strip_prefix('^');
        negated ^= plain.is_some();
        let plain = plain.unwrap_or(name);
        let class = format!("\\{}{{{plain}}}", if negated { 'P' } else { 'p' });
        // Names are in their exact form, and not those of other properties.
        let formed = plain.starts_with(|c: char| c.is_ascii_uppercase())
            && plain.bytes().all(|c| c.is_ascii_alphabetic() || c == b'_');
        if !formed || regex_syntax_knows(&class).is_none() {
            return Err(format!("invalid character class range: `{}`", self.since(start)));
        }
        Ok(Some(class))
    }

    /// A character after a backslash.
    fn escaped(&mut self) -> Result<char, String> {
        let start = self.rest;
        self.next();
        let Some(kind) = self.next() else {
            return Err("trailing backslash at end of expression: ``".to_owned());
        };
        let code = match kind {
            // A single digit would be what a group has matched.
            '0' => self.digits(2, 8, 0),
            '1'..='7' if self.peek().is_some_and(|c| c.is_digit(8)) => {
                self.digits(2, 8, kind.to_digit(8).unwrap_or(0))
            }
            'x' if self.accept("{") => {
                let inside = self.rest.split_once('}');
                let code = inside.and_then(|(digits, rest)| {
                    self.rest = rest;
                    let plain = digits.len() <= 8 && digits.bytes().all(|c| c.is_ascii_hexdigit());
                    u32::from_str_radix(digits, 16).ok().filter(|_| plain)
                });
                code.unwrap_or(u32::MAX)
            }
            'x' => match self.rest.get(..2).filter(|digits| digits.bytes().all(|c| c.is_ascii_hexdigit())) {
                Some(_) => self.digits(2, 16, 0),
                None => u32::MAX,
            },
            'a' => 7,
            'f' => 12,
            'n' => 10,
            'r' => 13,
            't' => 9,
            'v' => 11,
            c if c.is_ascii() && !c.is_ascii_alphanumeric() => c as u32,
            _ => u32::MAX,
        };
        char::from_u32(code).ok_or_else(|| format!("invalid escape sequence: `{}`", self.since(start)))
    }

    /// Up to so many digits more of a number.
    fn digits(&mut self, most: usize, radix: u32, first: u32) -> u32 {
        let mut value = first;
        for _ in 0..most {
            let Some(digit) = self.peek().and_then(|c| c.to_digit(radix)) else { break };
            self.next();
            value = value * radix + digit;
        }
        value
    }

    /// What is in brackets.
    fn class(&mut self) -> Result<(), String> {
        let start = self.rest;
        let missing = || format!("missing closing ]: `{start}`");
        self.next();
        self.out.push('[');
        if self.accept("^") {
            self.out.push('^');
        }
        let mut first = true;
        while first || self.peek() != Some(']') {
            first = false;
            if self.rest.is_empty() {
                return Err(missing());
            }
            if self.posix()? {
                continue;
            }
            if let Some((ranges, negated)) = self.perl() {
                let class = if negated { format!("[^{ranges}]") } else { ranges.to_owned() };
                self.out.push_str(&class);
                continue;
            }
            if let Some(class) = self.unicode(self.rest)? {
                self.out.push_str(&class);
                continue;
            }
            let range = self.rest;
            let low = self.member().ok_or_else(missing)??;
            let mut high = low;
            if self.rest.starts_with('-') && !self.rest.starts_with("-]") && self.rest.len() > 1 {
                self.next();
                high = self.member().ok_or_else(missing)??;
            }
            if high < low {
                return Err(format!("invalid character class range: `{}`", self.since(range)));
            }
            self.literal(low);
            self.out.push('-');
            self.literal(high);
        }
        self.copy();
        Ok(())
    }

    /// A character within brackets.
    fn member(&mut self) -> Option<Result<char, String>> {
        match self.peek()? {
            '\\' => Some(self.escaped()),
            _ => self.next().map(Ok),
        }
    }

    /// `[:alpha:]`, `[:^alpha:]`
    fn posix(&mut self) -> Result<bool, String> {
        let Some((name, rest)) = self.rest.strip_prefix("[:").and_then(|rest| rest.split_once(":]")) else {
            return Ok(false);
        };
        let start = std::mem::replace(&mut self.rest, rest);
        if !POSIX.contains(&name.strip_prefix('^').unwrap_or(name)) {
            return Err(format!("invalid character class range: `{}`", self.since(start)));
        }
        self.out.push_str(self.since(start));
        Ok(true)
    }
}

/// Whether there is such a class.
fn regex_syntax_knows(class: &str) -> Option<regex::Regex> {
    regex::Regex::new(class).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matcher::anchored;
    use proptest::prelude::*;

    #[track_caller]
    fn check(expression: &str, yes: &[&str], no: &[&str]) {
        let regex = anchored(expression).unwrap();
        yes.iter().for_each(|text| assert!(regex.is_match(text), "{expression} and {text:?}"));
        no.iter().for_each(|text| assert!(!regex.is_match(text), "{expression} and {text:?}"));
    }

    #[test]
    fn classes_are_ascii() {
        check(r"\d+", &["09"], &["٣", "a"]);
        check(r"\D", &["٣", "\n"], &["3"]);
        check(r"\w", &["_", "a"], &["é", "-"]);
        check(r"\W+", &["é-"], &["a"]);
        check(r"\s+", &["\t\n\r\x0c "], &["\x0b", "\u{a0}", "\u{85}"]);
        check(r"[\d\s]+", &["1 2"], &["٣"]);
        check(r"[^\w]", &["é"], &["e"]);
        check(r"[\W\d]+", &["é1"], &["e"]);
        check(r".*\bé.*", &["aé"], &["é"]);
        check(r"a\Bb|é\B-", &["ab", "é-"], &["a-b"]);
        check("[[:alpha:]]+", &["ab"], &["é"]);
        check("[[:^alpha:]_a]+", &["é_a1"], &["b"]);
        check(r"\p{Greek}\pL\P{Lu}[\p{^Lu}]", &["αéaa"], &["aéaa"]);
        check("(?i)straSSe[k]", &["STRASSEK", "strasse\u{212a}"], &["straße"]);
    }

    #[test]
    fn what_is_special_elsewhere_stands_for_itself() {
        check("[a[b]+", &["[ab"], &["]"]);
        check("[a&&b]+", &["a&b"], &["c"]);
        check("[+--/]+", &["+,-/"], &["."]);
        check("[a~~b]+", &["~ab"], &["c"]);
        check("[]a]+", &["]a"], &["b"]);
        check("[^]a]", &["b"], &["]", "a"]);
        check("[a-]+", &["-a"], &["b"]);
        check("[[:x]+", &["[:x"], &["a"]);
        check("x{a}|y{,2}|z{2|{", &["x{a}", "y{,2}", "z{2", "{"], &["yy"]);
        check("x{2}y{1,}z{0,1}", &["xxyy", "xxyz"], &["xy"]);
        check("x{02}", &["x{02}"], &["xx"]);
        check(r"\<a\>\_\-\#", &["<a>_-#"], &["a"]);
        check("a # b", &["a # b"], &["a"]);
    }

    #[test]
    fn escapes_are_those_of_go() {
        check(r"\Qa.b*\E+", &["a.b*", "a.b**"], &["axb"]);
        check(r"\Q(", &["("], &[""]);
        check(r"\101\x41\x{41}\12\0", &["AAA\n\0"], &["101"]);
        check(r"[\101-\x43\n\]]+", &["ABC\n]"], &["D"]);
        check(r"\a\f\t\v\A?", &["\x07\x0c\t\x0b"], &["a"]);
        check("a.b", &["a\nb"], &["ab"]);
        check("(?-s:a.b)", &["axb"], &["a\nb"]);
        check("(?s)a.b", &["a\nb"], &["ab"]);
        check("(?m:^a$).*", &["a\nb"], &["ab"]);
        check("a()|(|b)", &["a", "", "b"], &["c"]);
        check("(?P<a>x)(?<b>y)(?P<1>z)", &["xyz"], &["x"]);
    }

    #[test]
    fn what_is_wrong_is_said_in_the_words_of_go() {
        for (expression, why) in [
            ("(", "missing closing ): `(`"),
            ("a)(b", "unexpected ): `a)(b`"),
            ("[a", "missing closing ]: `[a`"),
            ("*a", "missing argument to repetition operator: `*`"),
            ("a|{2}", "missing argument to repetition operator: `{2}`"),
            ("a**", "invalid nested repetition operator: `**`"),
            ("a*?+", "invalid nested repetition operator: `*?+`"),
            ("a{1001}", "invalid repeat count: `{1001}`"),
            ("a{2,1}", "invalid repeat count: `{2,1}`"),
            ("(a{100}b){11}", "invalid repeat count: `{11}`"),
            ("[z-a]", "invalid character class range: `z-a`"),
            ("[[:x:]]", "invalid character class range: `[:x:]`"),
            (r"\p{Nope}", r"invalid character class range: `\p{Nope}`"),
            (r"a\", "trailing backslash at end of expression: ``"),
            (r"\C", r"invalid escape sequence: `\C`"),
            (r"\Z", r"invalid escape sequence: `\Z`"),
            (r"\1", r"invalid escape sequence: `\1`"),
            (r"[\b]", r"invalid escape sequence: `\b`"),
            (r"\x{110000}", r"invalid escape sequence: `\x{110000}`"),
            ("(?x)a", "invalid or unsupported Perl syntax: `(?x`"),
            ("(?u:a)", "invalid or unsupported Perl syntax: `(?u`"),
            ("(?R)", "invalid or unsupported Perl syntax: `(?R`"),
            ("(?=a)", "invalid or unsupported Perl syntax: `(?=`"),
            ("(?i-)", "invalid or unsupported Perl syntax: `(?i-)`"),
            ("(?P<a-b>x)", "invalid named capture: `(?P<a-b>`"),
            ("(?P<a", "invalid named capture: `(?P<a`"),
        ] {
            assert_eq!(translate(expression).unwrap_err(), format!("error parsing regexp: {why}"));
        }
    }

    proptest! {
        /// A text that is quoted matches itself, and nothing makes it panic. What is
        /// translated is nothing the other language refuses.
        #[test]
        fn translations_compile(text in r"[\[\](){}|*+?.^$\\a-cdDwWsSQEpx0-3&~:,<>P é\n-]{0,12}") {
            if let Ok(translated) = translate(&text) {
                let compiled = regex::Regex::new(&format!("^(?s:{translated})$"));
                prop_assert!(compiled.is_ok(), "{text:?} became {translated:?}: {compiled:?}");
            }
            if !text.contains("\\E") {
                let quoted = format!("\\Q{text}");
                prop_assert!(anchored(&quoted).unwrap().is_match(&text));
            }
        }
    }
}
