//! Heatmaps: two rows of cells to a row of characters.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Style};

use super::areas::lot_at;
use super::ask::{Drawn, Line};
use super::axis::Scale;
use super::text::{cut, put, width};
use super::theme::Theme;
use crate::viewer::heat::Heat;

/// What has a count at all is told from nothing.
const FAINTEST: f64 = 0.12;

/// By name, numbers as numbers; the first is at the bottom.
pub fn sorted<'a>(lines: &[(usize, &'a Line)]) -> Vec<&'a Line> {
    let mut lines: Vec<&Line> = lines.iter().map(|(_, line)| *line).collect();
    let key = |line: &Line| {
        let digits: String =
            line.name.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
        let text: String = line.name.chars().take_while(|c| !c.is_ascii_digit()).collect();
        (text, digits.parse::<u64>().ok())
    };
    lines.sort_by(|a, b| key(a).cmp(&key(b)).then_with(|| a.name.cmp(&b.name)));
    lines
}

/// Of which values the colours are: from zero, if there is nothing below.
pub fn range(lines: &[&Line]) -> (f64, f64) {
    let means = || lines.iter().flat_map(|line| &line.lots.mean).copied().filter(|value| value.is_finite());
    let scale = Scale::linear(means().fold(f64::NAN, f64::min), means().fold(f64::NAN, f64::max));
    (scale.min, scale.max)
}

/// Which of `count` rows a half row of characters shows, from the bottom up.
fn part_of(half: usize, halves: usize, count: usize) -> std::ops::Range<usize> {
    let first = half * count / halves;
    let next = (half + 1) * count / halves;
    first..next.max(first + 1).min(count.max(1))
}

/// Writes what the rows are called on the left, where there is room, and says what is left.
pub fn names(buffer: &mut Buffer, area: Rect, lines: &[&Line], theme: Theme) -> Rect {
    let most = usize::from(area.width / 4).min(24);
    let widest = lines.iter().map(|line| width(&line.name)).max().unwrap_or(0).min(most) as u16;
    if widest == 0 || lines.is_empty() {
        return area;
    }
    let halves = 2 * usize::from(area.height);
    let mut before = None;
    for row in 0..area.height {
        let half = halves - 2 - 2 * usize::from(row);
        let line = part_of(half, halves, lines.len()).start;
        if before.replace(line) == Some(line) {
            continue;
        }
        let Some(line) = lines.get(line) else { continue };
        let name = cut(&line.name, widest.into());
        put(buffer, (area.x + widest - width(&name) as u16, area.y + row), widest, &name, theme.faint());
    }
    Rect { x: area.x + widest + 1, width: area.width.saturating_sub(widest + 1), ..area }
}

/// A row per series. Where there are more than there is room for, the greatest of neighbours.
pub fn rows(
    buffer: &mut Buffer,
    area: Rect,
    drawn: &Drawn,
    lines: &[&Line],
    range: (f64, f64),
    span: (i64, i64),
    theme: Theme,
) {
    let halves = 2 * usize::from(area.height);
    let value = |half: usize, lot: usize| {
        let rows = &lines[part_of(half, halves, lines.len())];
        rows.iter().map(|line| line.lots.mean[lot]).fold(f64::NAN, f64::max)
    };
    for column in 0..area.width {
        let Some(lot) = lot_at(drawn, span, column, area.width) else { continue };
        let heat = |half: usize| {
            let value = value(half, lot);
            (!value.is_nan()).then(|| (value - range.0) / (range.1 - range.0))
        };
        for row in 0..area.height {
            let half = halves - 1 - 2 * usize::from(row);
            halfs(buffer, (area.x + column, area.y + row), heat(half), heat(half - 1), theme);
        }
    }
}

/// From the lowest bucket to the highest.
pub fn bucket_scale(heat: &Heat) -> Scale {
    let last = heat.bounds.len().saturating_sub(2) as u32;
    Scale::log(edges(heat.reach(0)).0, edges(heat.reach(last)).1)
}

/// Of a bucket on a logarithmic scale, which has no zero.
fn edges((low, high): (f64, f64)) -> (f64, f64) {
    (if low > 0.0 { low } else { high / 2.0 }, high)
}

/// How often which values occurred. A bucket's count is spread evenly over its part of the scale.
pub fn buckets(
    buffer: &mut Buffer,
    area: Rect,
    drawn: &Drawn,
    heat: &Heat,
    scale: &Scale,
    span: (i64, i64),
    theme: Theme,
) {
    let halves = 2 * usize::from(area.height);
    let columns: Vec<Option<Vec<f64>>> = (0..area.width)
        .map(|column| Some(spread(heat, lot_at(drawn, span, column, area.width)?, scale, halves)))
        .collect();
    let counts = || columns.iter().flatten().flatten().copied().filter(|count| *count > 0.0);
    let (least, greatest) = (counts().fold(f64::NAN, f64::min), counts().fold(f64::NAN, f64::max));
    // A few values in a wide bucket are as faint as anything.
    let least = least.max(greatest / 1e4);
    let decades = (greatest / least).ln();
    let part = |count: f64| {
        let log = if decades > 0.0 { ((count / least).ln() / decades).max(0.0) } else { 1.0 };
        (count > 0.0).then_some(FAINTEST + (1.0 - FAINTEST) * log)
    };
    for (column, cells) in columns.iter().enumerate() {
        let Some(cells) = cells else { continue };
        for row in 0..area.height {
            let half = halves - 1 - 2 * usize::from(row);
            let at = (area.x + column as u16, area.y + row);
            halfs(buffer, at, part(cells[half]), part(cells[half - 1]), theme);
        }
    }
}

/// What of a lot's counts is in each half row, from the bottom up.
fn spread(heat: &Heat, lot: usize, scale: &Scale, halves: usize) -> Vec<f64> {
    let mut counts = vec![0.0; halves];
    for &(_, bucket, count) in heat.lot(lot) {
        let (low, high) = edges(heat.reach(bucket));
        let up = |value: f64| (scale.part(value) * halves as f64).clamp(0.0, halves as f64);
        let (from, to) = (up(low), up(high));
        let first = (from as usize).min(halves.saturating_sub(1));
        for (half, sum) in counts.iter_mut().enumerate().skip(first) {
            let inside = to.min(half as f64 + 1.0) - from.max(half as f64);
            if half as f64 >= to && half > first {
                break;
            }
            // A bucket finer than a row is in one, whole.
            *sum += if to > from { count * (inside / (to - from)).clamp(0.0, 1.0) } else { count };
            if to <= from {
                break;
            }
        }
    }
    counts
}

/// Two cells in a character, the upper and the lower.
fn halfs(buffer: &mut Buffer, at: (u16, u16), upper: Option<f64>, lower: Option<f64>, theme: Theme) {
    let Some(cell) = buffer.cell_mut(at) else { return };
    if theme.is_shaded() {
        let most = upper.unwrap_or(0.0).max(lower.unwrap_or(0.0));
        cell.set_char(Theme::shade(most));
        return;
    }
    let colour = |part: Option<f64>| part.map_or(Color::Reset, |part| theme.heat(part));
    match (upper, lower) {
        (None, None) => {}
        (None, lower) => {
            cell.set_char('▄').set_style(Style::new().fg(colour(lower)));
        }
        (upper, lower) => {
            cell.set_char('▀').set_style(Style::new().fg(colour(upper)).bg(colour(lower)));
        }
    }
}

/// What the colours mean.
pub fn ramp(buffer: &mut Buffer, row: Rect, from: &str, to: &str, theme: Theme) {
    put(buffer, (row.x, row.y), row.width, from, theme.faint());
    let left = width(from) as u16 + 1;
    let length = 12u16;
    if left + length + 1 + width(to) as u16 > row.width {
        return;
    }
    for at in 0..length {
        let part = f64::from(at) / f64::from(length - 1);
        let (symbol, style) = match theme.is_shaded() {
            true => (Theme::shade(part), Style::new()),
            false => ('█', Style::new().fg(theme.heat(part))),
        };
        put(buffer, (row.x + left + at, row.y), 1, &symbol.to_string(), style);
    }
    put(buffer, (row.x + left + length + 1, row.y), row.width, to, theme.faint());
}
