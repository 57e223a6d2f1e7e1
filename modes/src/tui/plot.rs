//! A chart: its title, what is drawn, axes and legend.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::app::Loaded;
use super::ask::{Body, Drawn, Line};
use super::axis::{self, Scale};
use super::kind::Kind;
use super::text::{cut, put, width, wrap};
use super::theme::{Depth, Theme};
use super::{areas, heat, lines, units};
use crate::viewer::dashboard::Chart;
use crate::viewer::heat::Heat;

/// What a chart is drawn from.
pub struct Plot<'a> {
    pub chart: &'a Chart,
    pub loaded: Option<&'a Loaded>,
    /// What is on screen.
    pub span: Option<(i64, i64)>,
    /// Only series whose names have this in them.
    pub filter: &'a str,
    pub theme: Theme,
    pub chosen: bool,
}

/// Where the parts of a chart are.
struct Parts {
    title: Rect,
    body: Rect,
    times: Option<Rect>,
    legend: Option<Rect>,
}

impl Parts {
    /// The lower the chart, the fewer parts it has.
    fn of(area: Rect) -> Self {
        let row = |y: u16| Rect { y: area.y + y, height: 1, ..area };
        let legend = (area.height >= 4).then(|| row(area.height - 1));
        let times = (area.height >= 5).then(|| row(area.height - 2));
        let below = u16::from(legend.is_some()) + u16::from(times.is_some());
        let body = Rect { y: area.y + 1, height: area.height.saturating_sub(1 + below), ..area };
        Self { title: row(0), body, times, legend }
    }
}

impl Plot<'_> {
    pub fn draw(&self, buffer: &mut Buffer, area: Rect) {
        if area.width < 4 || area.height == 0 {
            return;
        }
        let parts = Parts::of(area);
        let lines = self.lines();
        let value = self.drawn().map_or_else(String::new, |drawn| self.value(drawn, &lines));
        self.title(buffer, parts.title, &value);
        if parts.body.height == 0 {
            return;
        }
        match self.drawn() {
            Some(drawn) if self.has_something(drawn, &lines) => self.content(buffer, &parts, drawn, &lines),
            _ => self.excuse(buffer, parts.body),
        }
    }

    pub fn drawn(&self) -> Option<&Drawn> {
        self.loaded?.result.as_ref()?.as_ref().ok()
    }

    pub fn kind(&self) -> Kind {
        self.drawn().map_or_else(|| Kind::of(&self.chart.kind), |drawn| drawn.kind)
    }

    pub fn body(&self) -> Option<&Body> {
        self.drawn().map(|drawn| &drawn.body)
    }

    /// The series that the filter lets through, with the numbers of their colours.
    pub fn lines(&self) -> Vec<(usize, &Line)> {
        let Some(Drawn { body: Body::Lines(all), .. }) = self.drawn() else { return Vec::new() };
        let filter = self.filter.to_lowercase();
        let fits = |line: &&Line| filter.is_empty() || line.name.to_lowercase().contains(&filter);
        let there = |line: &&Line| line.lots.greatest.iter().any(|value| !value.is_nan());
        let numbered = |line| (self.loaded.map_or(0, |loaded| loaded.colour(line)), line);
        all.iter().filter(fits).filter(there).map(numbered).collect()
    }

    fn has_something(&self, drawn: &Drawn, lines: &[(usize, &Line)]) -> bool {
        match &drawn.body {
            Body::Lines(_) => !lines.is_empty(),
            Body::Heat(heat) => !heat.bounds.is_empty(),
        }
    }

    fn title(&self, buffer: &mut Buffer, row: Rect, value: &str) {
        let theme = self.theme;
        let (rule, style) = if self.chosen { ("━", theme.accent()) } else { ("─", theme.grid()) };
        for x in row.left()..row.right() {
            put(buffer, (x, row.y), 1, rule, style);
        }
        let room = usize::from(row.width).saturating_sub(4);
        let title = cut(&self.chart.title, room);
        // Not in the colour of the rule below it.
        let bold = Style::reset().add_modifier(Modifier::BOLD);
        let style = if self.chosen { theme.accent() } else { bold };
        put(buffer, (row.x + 1, row.y), row.width - 1, &format!(" {title} "), style);
        let needed = width(value) + 2;
        if !value.is_empty() && width(&title) + 2 + needed <= room {
            let x = row.right() - 1 - needed as u16;
            put(buffer, (x, row.y), needed as u16, &format!(" {value} "), bold);
        }
    }

    /// What stands on the right of the title.
    fn value(&self, drawn: &Drawn, lines: &[(usize, &Line)]) -> String {
        let unit = &self.chart.unit;
        match (&drawn.body, drawn.kind) {
            (Body::Lines(_), Kind::Heatmap) if !lines.is_empty() => {
                let values = lines.iter().map(|(_, line)| last(line)).filter(|value| !value.is_nan());
                format!("max {}", units::value(values.fold(f64::NAN, f64::max), unit))
            }
            (Body::Lines(_), Kind::Stacked) if lines.len() > 1 => {
                let sum: f64 = lines.iter().map(|(_, line)| last(line)).filter(|value| !value.is_nan()).sum();
                units::value(sum, unit)
            }
            (Body::Lines(_), _) => match lines {
                [(_, line)] => units::value(last(line), unit),
                _ => String::new(),
            },
            (Body::Heat(heat), _) => {
                let last = heat.cells.last().map_or(0, |cell| cell.0 as usize);
                let of = |part: f64| units::value(heat.quantile(last, part), unit);
                format!("p50 {}  p99 {}", of(0.5), of(0.99))
            }
        }
    }

    /// Why there is nothing.
    fn excuse(&self, buffer: &mut Buffer, area: Rect) {
        let (text, style) = match self.loaded.and_then(|loaded| loaded.result.as_ref()) {
            Some(Err(error)) => (error.clone(), self.theme.wrong()),
            None if self.span.is_none() => ("waiting for the first samples …".into(), self.theme.faint()),
            None => ("…".into(), self.theme.faint()),
            Some(Ok(drawn)) => {
                let text = match (&self.chart.missing, &drawn.body) {
                    (_, Body::Lines(all)) if !all.is_empty() && !self.filter.is_empty() => {
                        format!("no series has “{}” in its name", self.filter)
                    }
                    (Some(missing), _) => missing.clone(),
                    _ => "no data here".into(),
                };
                (text, self.theme.faint())
            }
        };
        let rows = wrap(&text, usize::from(area.width).saturating_sub(2).max(1));
        let first = usize::from(area.height).saturating_sub(rows.len()) / 2;
        for (at, row) in rows.iter().enumerate().take(usize::from(area.height)) {
            let left = usize::from(area.width).saturating_sub(width(row)) / 2;
            put(buffer, (area.x + left as u16, area.y + (first + at) as u16), area.width, row, style);
        }
    }

    fn content(&self, buffer: &mut Buffer, parts: &Parts, drawn: &Drawn, lines: &[(usize, &Line)]) {
        let Some(span) = self.span else { return };
        match (&drawn.body, drawn.kind) {
            (Body::Heat(heat), _) => self.buckets(buffer, parts, drawn, heat, span),
            (_, Kind::Heatmap) => self.rows(buffer, parts, drawn, lines, span),
            (_, Kind::Stacked) => {
                let sums = areas::stack(lines, drawn.count);
                let scale = areas::scale(&sums, drawn, self.filter.is_empty());
                let area = self.axes(buffer, parts, &scale, span);
                areas::draw(
                    buffer,
                    area,
                    drawn,
                    lines,
                    &sums,
                    self.filter.is_empty(),
                    &scale,
                    span,
                    self.theme,
                );
                self.legend(buffer, parts, lines);
            }
            (_, kind) => {
                let scale = lines::scale(lines, kind == Kind::Percentiles);
                let area = self.axes(buffer, parts, &scale, span);
                axis::grid(buffer, area, &scale, &self.chart.unit, self.theme);
                lines::draw(buffer, area, drawn, lines, &scale, span, self.theme);
                self.legend(buffer, parts, lines);
            }
        }
    }

    /// Draws the axes, and says what is left for the values.
    fn axes(&self, buffer: &mut Buffer, parts: &Parts, scale: &Scale, span: (i64, i64)) -> Rect {
        let area = axis::values(buffer, parts.body, scale, &self.chart.unit, self.theme);
        self.times(buffer, parts, area, span);
        area
    }

    fn times(&self, buffer: &mut Buffer, parts: &Parts, area: Rect, span: (i64, i64)) {
        if let Some(row) = parts.times {
            axis::times(buffer, Rect { x: area.x, width: area.width, ..row }, span, self.theme);
        }
    }

    fn buckets(&self, buffer: &mut Buffer, parts: &Parts, drawn: &Drawn, heat: &Heat, span: (i64, i64)) {
        let scale = heat::bucket_scale(heat);
        let area = self.axes(buffer, parts, &scale, span);
        heat::buckets(buffer, area, drawn, heat, &scale, span, self.theme);
        if let Some(row) = parts.legend {
            heat::ramp(buffer, row, "few", "many", self.theme);
        }
    }

    fn rows(
        &self,
        buffer: &mut Buffer,
        parts: &Parts,
        drawn: &Drawn,
        lines: &[(usize, &Line)],
        span: (i64, i64),
    ) {
        let sorted = heat::sorted(lines);
        let range = heat::range(&sorted);
        let area = heat::names(buffer, parts.body, &sorted, self.theme);
        self.times(buffer, parts, area, span);
        heat::rows(buffer, area, drawn, &sorted, range, span, self.theme);
        if let Some(row) = parts.legend {
            let of = |value: f64| units::value(value, &self.chart.unit);
            heat::ramp(buffer, row, &of(range.0), &of(range.1), self.theme);
        }
    }

    /// Names and newest values, the greatest first; of a single series what it was besides.
    fn legend(&self, buffer: &mut Buffer, parts: &Parts, lines: &[(usize, &Line)]) {
        let Some(row) = parts.legend else { return };
        let unit = &self.chart.unit;
        if let [(number, line)] = lines {
            let summary = Summary::of(line);
            let of = |value: f64| units::value(value, unit);
            let (mean, least, greatest) = (of(summary.mean), of(summary.least), of(summary.greatest));
            let name = &line.name;
            // What does not fit is left out, rather than cut.
            let candidates = [
                format!("{name}  mean {mean}  min {least}  max {greatest}"),
                format!("{name}  min {least}  max {greatest}"),
                format!("{name}  max {greatest}"),
            ];
            let fits = |text: &&String| width(text) + 2 <= usize::from(row.width);
            self.entry(buffer, row, *number, candidates.iter().find(fits).unwrap_or(name));
            return;
        }
        let mut sorted: Vec<&(usize, &Line)> = lines.iter().collect();
        if self.kind() != Kind::Percentiles {
            // Not by their means: most of what is among the first ten is so for a moment.
            let sum = |line: &Line| line.lots.mean.iter().filter(|mean| !mean.is_nan()).sum::<f64>();
            sorted.sort_by(|a, b| sum(b.1).total_cmp(&sum(a.1)));
        }
        let mut left = row;
        for (at, (number, line)) in sorted.iter().enumerate() {
            let text = format!("{} {}", line.name, units::value(last(line), unit));
            let rest = format!("+{}", sorted.len() - at);
            let more = if at + 1 == sorted.len() { 0 } else { width(&rest) + 2 };
            // A long name alone is cut; after others it is counted.
            if at > 0 && width(&text) + 2 + more > usize::from(left.width) {
                put(buffer, (left.x, left.y), left.width, &rest, self.theme.faint());
                return;
            }
            let room =
                Rect { width: left.width.saturating_sub(if at == 0 { more as u16 } else { 0 }), ..left };
            let used = self.entry(buffer, room, *number, &text) + 2;
            left = Rect { x: left.x + used.min(left.width), width: left.width.saturating_sub(used), ..left };
        }
    }

    fn entry(&self, buffer: &mut Buffer, row: Rect, number: usize, text: &str) -> u16 {
        let mark = match self.theme.depth {
            Depth::None if self.kind() == Kind::Stacked => Theme::fill(number).to_string(),
            _ => "■".into(),
        };
        put(buffer, (row.x, row.y), row.width, &mark, Style::new().fg(self.theme.series(number)));
        let room = row.width.saturating_sub(2);
        let text = cut(text, room.into());
        put(buffer, (row.x + 2.min(row.width), row.y), room, &text, Style::new());
        width(&text) as u16 + 2
    }
}

/// What a series is now: NaN if it has ended.
pub fn last(line: &Line) -> f64 {
    // The lots at the end may lie behind the newest sample.
    let recent = line.lots.mean.iter().rev().take(3);
    recent.copied().find(|value| !value.is_nan()).unwrap_or(f64::NAN)
}

/// A series in four numbers.
#[derive(Clone, Copy, Debug)]
pub struct Summary {
    pub last: f64,
    pub mean: f64,
    pub least: f64,
    pub greatest: f64,
}

impl Summary {
    pub fn of(line: &Line) -> Self {
        let there =
            |values: &[f64]| -> Vec<f64> { values.iter().copied().filter(|value| !value.is_nan()).collect() };
        let means = there(&line.lots.mean);
        let count = means.len() as f64;
        Self {
            last: last(line),
            mean: if means.is_empty() { f64::NAN } else { means.iter().map(|mean| mean / count).sum() },
            least: line.lots.least.iter().copied().fold(f64::NAN, f64::min),
            greatest: line.lots.greatest.iter().copied().fold(f64::NAN, f64::max),
        }
    }
}
