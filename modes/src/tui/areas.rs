//! Parts of a whole, one on top of the other: areas of block characters, an eighth of a row fine.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Style};

use super::ask::{Drawn, Line};
use super::axis::Scale;
use super::theme::{Depth, Theme};

const EIGHTHS: [&str; 9] = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];

/// For each series the sum of it and all before it, for each lot. A NaN adds nothing; where all are
/// NaN there is a gap.
pub fn stack(lines: &[(usize, &Line)], count: usize) -> Vec<Vec<f64>> {
    let value = |line: &Line, lot: usize| line.lots.mean.get(lot).copied().unwrap_or(f64::NAN);
    let some = |lot: usize| lines.iter().any(|(_, line)| !value(line, lot).is_nan());
    let mut below: Vec<f64> = (0..count).map(|lot| if some(lot) { 0.0 } else { f64::NAN }).collect();
    let on_top = |(_, line): &(usize, &Line)| {
        for (lot, sum) in below.iter_mut().enumerate() {
            let more = value(line, lot);
            *sum += if more.is_finite() { more.max(0.0) } else { 0.0 };
        }
        below.clone()
    };
    lines.iter().map(on_top).collect()
}

/// Of the sums, and of the greatest sum of all if all are drawn.
pub fn scale(sums: &[Vec<f64>], drawn: &Drawn, all: bool) -> Scale {
    let tops = sums.last().into_iter().flatten();
    let peaks = drawn.total.iter().filter(|_| all).flatten();
    let greatest = tops.chain(peaks).copied().filter(|value| value.is_finite()).fold(f64::NAN, f64::max);
    Scale::linear(0.0, greatest)
}

#[allow(clippy::too_many_arguments)]
pub fn draw(
    buffer: &mut Buffer,
    area: Rect,
    drawn: &Drawn,
    lines: &[(usize, &Line)],
    sums: &[Vec<f64>],
    all: bool,
    scale: &Scale,
    span: (i64, i64),
    theme: Theme,
) {
    let height = f64::from(area.height);
    for column in 0..area.width {
        let Some(lot) = lot_at(drawn, span, column, area.width) else { continue };
        let tops: Vec<f64> = sums.iter().map(|sums| scale.part(sums[lot]) * height).collect();
        if tops.last().is_none_or(|top| top.is_nan()) {
            continue;
        }
        for row in 0..area.height {
            let bottom = f64::from(area.height - 1 - row);
            let Some(cell) = buffer.cell_mut((area.x + column, area.y + row)) else { continue };
            let (symbol, style) = fill(&tops, lines, bottom, theme);
            cell.set_symbol(&symbol).set_style(style);
        }
        // What the means hide.
        let peak = drawn.total.as_ref().filter(|_| all && drawn.reduced).and_then(|total| total.get(lot));
        let up = peak.map_or(f64::NAN, |peak| scale.part(*peak) * height);
        let top = tops.last().copied().unwrap_or(0.0);
        if up > top.ceil() {
            let row = (height - up.ceil()).clamp(0.0, height - 1.0) as u16;
            if let Some(cell) = buffer.cell_mut((area.x + column, area.y + row)) {
                cell.set_symbol("·").set_style(theme.faint());
            }
        }
    }
}

/// The lot that a column shows: that of its middle.
pub fn lot_at(drawn: &Drawn, span: (i64, i64), column: u16, columns: u16) -> Option<usize> {
    let part = (f64::from(column) + 0.5) / f64::from(columns);
    let time = span.0 as f64 + part * (span.1 as f64 - span.0 as f64);
    // What is one value stands for the time before it.
    let ahead = if drawn.reduced { 0.0 } else { 1.0 };
    let lot = ((time - drawn.start as f64) / drawn.lot.max(1) as f64 + ahead).floor();
    (lot >= 0.0 && lot < drawn.count as f64).then_some(lot as usize)
}

/// What is seen between `bottom` and a row above it: of the areas there the two that take most.
fn fill(tops: &[f64], lines: &[(usize, &Line)], bottom: f64, theme: Theme) -> (String, Style) {
    let mut parts: Vec<(Option<usize>, f64)> = Vec::new();
    let mut from = bottom;
    for (top, (number, _)) in tops.iter().zip(lines) {
        let to = top.clamp(from, bottom + 1.0);
        if to > from {
            parts.push((Some(*number), to - from));
            from = to;
        }
    }
    if from < bottom + 1.0 {
        parts.push((None, bottom + 1.0 - from));
    }
    while parts.len() > 2 {
        let least = (0..parts.len()).min_by(|a, b| parts[*a].1.total_cmp(&parts[*b].1)).unwrap_or(0);
        parts.remove(least);
    }
    let colour = |part: Option<usize>| part.map_or(Color::Reset, |number| theme.series(number));
    let total: f64 = parts.iter().map(|(_, size)| size).sum();
    let (lower, size) = parts.first().copied().unwrap_or((None, 1.0));
    let upper = parts.get(1).map_or(lower, |(upper, _)| *upper);
    let eighths = ((8.0 * size / total).round() as usize).min(8);
    if theme.depth == Depth::None {
        let shown = if eighths >= 4 { lower } else { upper };
        return match (shown, lower, upper) {
            (_, Some(0), None) => (EIGHTHS[eighths].into(), Style::new()),
            (Some(number), ..) => (Theme::fill(number).to_string(), Style::new()),
            (None, ..) => (" ".into(), Style::new()),
        };
    }
    match (lower, eighths) {
        (None, _) => (" ".into(), Style::new()),
        (_, 8) => ("█".into(), Style::new().fg(colour(lower))),
        // Something that is there is seen.
        (_, 0) if upper.is_none() => (EIGHTHS[1].into(), Style::new().fg(colour(lower))),
        _ => (EIGHTHS[eighths].into(), Style::new().fg(colour(lower)).bg(colour(upper))),
    }
}
