//! Text that has to fit.

use ratatui::buffer::Buffer;
use ratatui::style::Style;
use ratatui::text::Span;

/// How many columns it takes.
pub fn width(text: &str) -> usize {
    Span::raw(text).width()
}

/// As much of it as there is room for; an ellipsis says that there was more.
pub fn cut(text: &str, room: usize) -> String {
    if width(text) <= room {
        return text.into();
    }
    let mut kept = String::new();
    let mut used = 1;
    for c in text.chars() {
        used += width(c.encode_utf8(&mut [0; 4]));
        if used > room {
            break;
        }
        kept.push(c);
    }
    if room > 0 {
        kept.push('…');
    }
    kept
}

/// In rows of at most `room` columns, at blanks where there are any.
pub fn wrap(text: &str, room: usize) -> Vec<String> {
    let mut rows = vec![String::new()];
    for word in text.split_whitespace() {
        let mut word: String = word.into();
        loop {
            let row = rows.last_mut().expect("there is a row from the beginning");
            let blank = usize::from(!row.is_empty());
            if width(row) + blank + width(&word) <= room {
                row.push_str(&" ".repeat(blank));
                row.push_str(&word);
                break;
            }
            if blank == 1 {
                rows.push(String::new());
                continue;
            }
            let Some((at, _)) = word.char_indices().nth(room.max(1)) else {
                // Wide characters: there is no room for it at all, or not enough.
                row.push_str(&word);
                break;
            };
            let rest = word.split_off(at);
            row.push_str(&std::mem::replace(&mut word, rest));
            rows.push(String::new());
        }
    }
    rows
}

/// Writes text into a row, no further than so many columns nor the edge.
pub fn put(buffer: &mut Buffer, (x, y): (u16, u16), room: u16, text: &str, style: Style) {
    let area = buffer.area;
    if x < area.left() || x >= area.right() || y < area.top() || y >= area.bottom() {
        return;
    }
    buffer.set_stringn(x, y, text, room.min(area.right() - x).into(), style);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_cut_or_wrapped() {
        assert_eq!(cut("abcdef", 6), "abcdef");
        assert_eq!(cut("abcdef", 4), "abc…");
        assert_eq!(cut("日本語", 4), "日…");
        assert_eq!(cut("abc", 0), "");
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("abcdefgh i", 3), ["abc", "def", "gh", "i"]);
        assert_eq!(wrap("日本語 x", 1).join(""), "日本語x");
        assert_eq!(wrap("", 3), [""]);
    }
}
