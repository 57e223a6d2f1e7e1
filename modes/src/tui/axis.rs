//! The axes of a chart.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::text::{cut, put, width};
use super::theme::Theme;
use super::{clock, units};

/// What of the values is on screen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    pub min: f64,
    pub max: f64,
    pub log: bool,
}

impl Scale {
    /// From zero, if there is nothing below, to the greatest of finite values.
    pub fn linear(least: f64, greatest: f64) -> Self {
        let min = if least.is_finite() { least.min(0.0) } else { 0.0 };
        let max = if greatest.is_finite() { greatest.max(min) } else { min };
        // Numbers so large that their distance is none.
        let (min, max) = if (max - min).is_finite() { (min, max) } else { (min / 4.0, max / 4.0) };
        Self { min, max: if max > min { max } else { min + min.abs().max(1.0) }, log: false }
    }

    /// From the least to the greatest of finite values above zero.
    pub fn log(least: f64, greatest: f64) -> Self {
        let fits = |value: f64| value.is_finite() && value > 0.0;
        let max = if fits(greatest) { greatest } else { 1.0 };
        let min = if fits(least) { least.min(max) } else { max / 1000.0 };
        let min = min.max(f64::MIN_POSITIVE);
        let wide = max / min > 2.0;
        let (min, max) =
            if wide { (min, max) } else { ((min / 1.5).max(f64::MIN_POSITIVE), (max * 1.5).min(f64::MAX)) };
        Self { min, max, log: true }
    }

    /// How far up a value is: 0 at the bottom, 1 at the top. NaN of NaN; of what is
    /// not above zero, on a logarithmic scale, the bottom.
    pub fn part(&self, value: f64) -> f64 {
        if self.log {
            let value = if value <= 0.0 { self.min } else { value };
            (value.ln() - self.min.ln()) / (self.max.ln() - self.min.ln())
        } else {
            (value - self.min) / (self.max - self.min)
        }
    }

    fn ticks(&self, unit: &str, rows: u16) -> Vec<(f64, String)> {
        let count = usize::from(rows / 3).clamp(1, 8);
        let ticks = if self.log {
            units::log_ticks(self.min, self.max, unit)
        } else {
            units::ticks(self.min, self.max, unit, count)
        };
        let every = ticks.len().div_ceil(usize::from(rows.max(2)) / 2).max(1);
        ticks.into_iter().step_by(every).collect()
    }
}

/// How far from the left a time is: 0 to 1.
pub fn across(span: (i64, i64), time: i64) -> f64 {
    (time as f64 - span.0 as f64) / (span.1 as f64 - span.0 as f64).max(1.0)
}

/// The row of a value.
fn row(area: Rect, part: f64) -> Option<u16> {
    if !(0.0..=1.0).contains(&part) || area.height == 0 {
        return None;
    }
    let from_top = ((1.0 - part) * f64::from(area.height - 1)).round() as u16;
    Some(area.y + from_top)
}

/// Writes values on the left, and says what is left for the chart.
pub fn values(buffer: &mut Buffer, area: Rect, scale: &Scale, unit: &str, theme: Theme) -> Rect {
    let ticks = scale.ticks(unit, area.height);
    let widest = ticks.iter().map(|(_, label)| width(label)).max().unwrap_or(0) as u16;
    // Labels may take a third.
    if widest + 1 > area.width / 3 {
        return area;
    }
    for (value, label) in &ticks {
        if let Some(y) = row(area, scale.part(*value)) {
            let x = area.x + widest - width(label) as u16;
            put(buffer, (x, y), widest, label, theme.faint());
        }
    }
    Rect { x: area.x + widest + 1, width: area.width - widest - 1, ..area }
}

/// Draws a line for each value that is written on the left.
pub fn grid(buffer: &mut Buffer, area: Rect, scale: &Scale, unit: &str, theme: Theme) {
    for (value, _) in scale.ticks(unit, area.height) {
        if let Some(y) = row(area, scale.part(value)) {
            put(buffer, (area.x, y), area.width, &"┈".repeat(area.width.into()), theme.grid());
        }
    }
}

/// Writes times below a chart.
pub fn times(buffer: &mut Buffer, area: Rect, span: (i64, i64), theme: Theme) {
    let mut free = area.x;
    for (time, label) in clock::ticks(span.0, span.1, usize::from(area.width) / 14) {
        let length = width(&label) as u16;
        let at = area.x + (across(span, time) * f64::from(area.width)) as u16;
        let x = at.min(area.right().saturating_sub(length + 1));
        if x < free || length + 1 > area.width {
            continue;
        }
        put(
            buffer,
            (x, area.y),
            area.right() - x,
            &cut(&format!("╵{label}"), (area.right() - x).into()),
            theme.faint(),
        );
        free = x + length + 2;
    }
}
