//! Series as lines of dots.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::ask::{Drawn, Line};
use super::axis::{Scale, across};
use super::canvas::Canvas;
use super::theme::Theme;

/// With more series than these, the greatest values that means hide are not drawn.
const MOST_WITH_GREATEST: usize = 12;

/// Of all that is drawn.
pub fn scale(lines: &[(usize, &Line)], log: bool) -> Scale {
    let finite = |value: &f64| value.is_finite() && (!log || *value > 0.0);
    let all = |which: fn(&Line) -> &[f64]| {
        lines.iter().flat_map(move |(_, line)| which(line)).copied().filter(finite)
    };
    let least = all(|line| &line.lots.least).fold(f64::NAN, f64::min);
    let greatest = all(|line| &line.lots.greatest).fold(f64::NAN, f64::max);
    if log { Scale::log(least, greatest) } else { Scale::linear(least, greatest) }
}

pub fn draw(
    buffer: &mut Buffer,
    area: Rect,
    drawn: &Drawn,
    lines: &[(usize, &Line)],
    scale: &Scale,
    span: (i64, i64),
    theme: Theme,
) {
    let mut canvas = Canvas::new(area);
    let at = |lot: usize| {
        // What is one value is at its time, what is many in their middle.
        let middle = if drawn.reduced { drawn.lot / 2 } else { 0 };
        let time = drawn.start.saturating_add(drawn.lot.saturating_mul(lot as i64)).saturating_add(middle);
        (across(span, time.min(span.1)) * f64::from(canvas.width() - 1)).round() as i32
    };
    let columns: Vec<i32> = (0..drawn.count).map(at).collect();
    let top = f64::from(canvas.height() - 1);
    let up = |value: f64| ((1.0 - scale.part(value).clamp(0.0, 1.0)) * top).round() as i32;
    if drawn.reduced && lines.len() <= MOST_WITH_GREATEST {
        for (number, line) in lines {
            greatest(&mut canvas, &columns, line, &up, theme.weak(*number));
        }
    }
    // The first is on top of the others.
    for (number, line) in lines.iter().rev() {
        let style = Style::new().fg(theme.series(*number));
        let mut before = None;
        for (x, mean) in columns.iter().zip(&line.lots.mean) {
            let point = (!mean.is_nan()).then(|| (*x, up(*mean)));
            if let Some(point) = point {
                canvas.line(before.unwrap_or(point), point, style, true);
            }
            before = point;
        }
    }
    canvas.put(buffer, area);
}

/// What means hide: a dot at the greatest value, and a line to it if it stands alone.
fn greatest(canvas: &mut Canvas, columns: &[i32], line: &Line, up: &impl Fn(f64) -> i32, style: Style) {
    for ((x, mean), greatest) in columns.iter().zip(&line.lots.mean).zip(&line.lots.greatest) {
        if mean.is_nan() {
            continue;
        }
        let (low, high) = (up(*mean), up(*greatest));
        canvas.line((*x, low), (*x, high), style, false);
    }
}
