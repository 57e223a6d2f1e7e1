//! Answers that fit: what is too long comes page by page.

use schemars::JsonSchema;
use serde::Serialize;

use super::{Answer, Answered, Failure};

/// Which part of a list this is.
#[derive(Clone, Debug, Default, JsonSchema, PartialEq, Serialize)]
pub struct Page {
    /// How many there are in all.
    pub total: usize,
    /// How many come before the first one here.
    pub offset: usize,
    /// How many are here.
    pub shown: usize,
    /// The offset to ask with for those after these; absent if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<usize>,
}

impl Page {
    /// Takes a part of a list: `limit` of it, one at least, after the first `offset`.
    pub fn of<T>(all: Vec<T>, offset: usize, limit: usize) -> (Self, Vec<T>) {
        let total = all.len();
        // With none, the next page would be this one for ever.
        let part: Vec<T> = all.into_iter().skip(offset).take(limit.max(1)).collect();
        let mut page = Self { total, offset, shown: part.len(), next: None };
        page.cut(part.len());
        (page, part)
    }

    /// Only the first so many are here.
    pub fn cut(&mut self, shown: usize) {
        self.shown = shown;
        let end = self.offset.saturating_add(shown);
        self.next = (end < self.total).then_some(end);
    }

    /// A line for people, if there is more than what is here.
    pub fn line(&self, of: &str) -> String {
        match self.next {
            Some(next) => {
                let (first, total) = (self.offset + 1, self.total);
                format!("{of} {first} to {next} of {total}; ask with offset {next} for more\n")
            }
            None if self.offset > 0 && self.shown == 0 => {
                format!("there are {} {of}, none after offset {}\n", self.total, self.offset)
            }
            None if self.offset > 0 => format!("{of} {} to {}, the last\n", self.offset + 1, self.total),
            None => String::new(),
        }
    }
}

/// A text of at most so many characters and a sign that there is more: one that somebody else wrote must not fill an
/// answer.
pub fn short(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into(),
    }
}

/// Both forms of an answer, with as much of its list as fits into so many bytes.
///
/// # Errors
///
/// When not even one fits.
pub fn fit<T: Answer>(answer: &mut T, most: usize) -> Result<Answered, Failure> {
    let mut count = answer.listed();
    loop {
        let structured = serde_json::to_value(&*answer)
            .map_err(|error| Failure::data(format!("the answer cannot be written: {error}")))?;
        let text = answer.text();
        let bytes = structured.to_string().len() + text.len();
        if bytes <= most {
            return Ok(Answered { text, structured });
        }
        if count <= 1 {
            return Err(Failure::usage(format!(
                "the answer would have {bytes} bytes, and {most} are the most: ask for less, such as fewer points or \
                 signals, a narrower selector, or one input"
            )));
        }
        // By how much it is too long, and always by one at least.
        count = ((count as f64 * most as f64 / bytes as f64) as usize).clamp(1, count - 1);
        answer.keep(count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(JsonSchema, Serialize)]
    struct Words {
        page: Page,
        words: Vec<String>,
    }

    impl Answer for Words {
        fn text(&self) -> String {
            format!("{}{}", self.words.join("\n"), self.page.line("words"))
        }

        fn listed(&self) -> usize {
            self.words.len()
        }

        fn keep(&mut self, count: usize) {
            self.words.truncate(count);
            self.page.cut(count);
        }
    }

    proptest! {
        #[test]
        fn pages_fit_and_lose_nothing(lengths in prop::collection::vec(0usize..300, 0..100), most in 900usize..4000) {
            let all: Vec<String> = lengths.iter().map(|length| "x".repeat(*length)).collect();
            let (mut seen, mut offset) = (Vec::new(), Some(0));
            while let Some(from) = offset {
                let (page, words) = Page::of(all.clone(), from, usize::MAX);
                let mut answer = Words { page, words };
                let answered = fit(&mut answer, most).unwrap();
                prop_assert!(answered.text.len() + answered.structured.to_string().len() <= most);
                prop_assert_eq!(answer.page.shown, answer.words.len());
                seen.extend(answer.words);
                offset = answer.page.next;
            }
            prop_assert_eq!(seen, all);
        }
    }

    #[test]
    fn what_never_fits_is_refused() {
        let (page, words) = Page::of(vec!["x".repeat(5000), String::new()], 0, 9);
        let error = fit(&mut Words { page, words }, 1000).unwrap_err();
        assert!(error.usage && error.message.contains("1000 are the most"), "{error}");
    }

    #[test]
    fn a_page_after_the_end_says_so() {
        let (page, none) = Page::of(vec![1, 2], 7, 9);
        assert!(none.is_empty() && page.next.is_none());
        assert_eq!(Page::of(vec![1, 2], 0, 0).0.next, Some(1));
        assert_eq!(page.line("words"), "there are 2 words, none after offset 7\n");
    }
}
