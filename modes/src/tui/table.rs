//! What is below a chart that has the screen to itself, and what the keys are.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::app::Sort;
use super::ask::{Body, Line, QUANTILES};
use super::plot::{Plot, Summary};
use super::text::{cut, put, width, wrap};
use super::theme::Theme;
use super::units;
use crate::viewer::reduce::Lots;

/// How wide a number's column is.
const NUMBER: u16 = 13;

const COLUMNS: [(&str, Sort); 4] =
    [("last", Sort::Last), ("mean", Sort::Mean), ("min", Sort::Least), ("max", Sort::Greatest)];

struct Row {
    /// Of its colour.
    number: Option<usize>,
    name: String,
    summary: Summary,
}

impl Row {
    fn value(&self, sort: Sort) -> f64 {
        match sort {
            Sort::Last => self.summary.last,
            Sort::Mean | Sort::Name => self.summary.mean,
            Sort::Least => self.summary.least,
            Sort::Greatest => self.summary.greatest,
        }
    }
}

/// Draws description and table from a row on; says which row that is, if there are not as many.
pub fn draw(plot: &Plot, buffer: &mut Buffer, area: Rect, sort: Sort, first: usize) -> usize {
    if area.height < 3 {
        return first;
    }
    let description = wrap(&plot.chart.description, area.width.max(1).into());
    let lines = description.len().min(usize::from(area.height / 3));
    for (at, line) in description.iter().take(lines).enumerate() {
        put(buffer, (area.x, area.y + at as u16), area.width, line, plot.theme.faint());
    }
    let area = Rect { y: area.y + lines as u16, height: area.height - lines as u16, ..area };
    let rows = rows(plot, sort);
    let numbers = ((area.width * 2 / 3) / NUMBER).min(COLUMNS.len() as u16);
    let name = area.width - numbers * NUMBER;
    heading(plot, buffer, Rect { height: 1, ..area }, sort, name);
    let room = usize::from(area.height - 1);
    let first = first.min(rows.len().saturating_sub(room));
    for (at, row) in rows.iter().skip(first).take(room).enumerate() {
        let y = area.y + 1 + at as u16;
        if let Some(number) = row.number {
            put(buffer, (area.x, y), 1, "■", Style::new().fg(plot.theme.series(number)));
        }
        put(
            buffer,
            (area.x + 2, y),
            name,
            &cut(&row.name, usize::from(name).saturating_sub(3)),
            Style::new(),
        );
        for (column, (_, of)) in COLUMNS.iter().take(numbers.into()).enumerate() {
            let text = units::value(row.value(*of), &plot.chart.unit);
            right(buffer, (area.x + name + column as u16 * NUMBER, y), &text, Style::new());
        }
    }
    first
}

fn heading(plot: &Plot, buffer: &mut Buffer, row: Rect, sort: Sort, name: u16) {
    let style = plot.theme.faint().add_modifier(Modifier::BOLD);
    let mark = |text: &str, of: Sort| format!("{text}{}", if of == sort { "▾" } else { "" });
    put(buffer, (row.x + 2, row.y), name, &mark("series", Sort::Name), style);
    for (column, (text, of)) in COLUMNS.iter().enumerate() {
        let x = row.x + name + column as u16 * NUMBER;
        if x + NUMBER <= row.right() {
            right(buffer, (x, row.y), &mark(text, *of), style);
        }
    }
}

fn right(buffer: &mut Buffer, (x, y): (u16, u16), text: &str, style: Style) {
    let text = cut(text, usize::from(NUMBER) - 1);
    put(buffer, (x + NUMBER - width(&text) as u16, y), NUMBER, &text, style);
}

fn rows(plot: &Plot, sort: Sort) -> Vec<Row> {
    let mut rows: Vec<Row> = match plot.body() {
        Some(Body::Heat(heat)) => {
            let lots = plot.drawn().map_or(0, |drawn| drawn.count);
            let of = |(part, name): (f64, &str)| {
                let mean: Vec<f64> = (0..lots).map(|lot| heat.quantile(lot, part)).collect();
                let lots = Lots { least: mean.clone(), greatest: mean.clone(), mean };
                let line = Line { key: String::new(), name: name.into(), lots };
                Row { number: None, summary: Summary::of(&line), name: line.name }
            };
            QUANTILES.into_iter().map(of).collect()
        }
        _ => {
            let row = |(number, line): (usize, &Line)| {
                // Rows of a heatmap have no colour of their own.
                let number = Some(number).filter(|_| plot.kind() != super::kind::Kind::Heatmap);
                Row { number, name: line.name.clone(), summary: Summary::of(line) }
            };
            plot.lines().into_iter().map(row).collect()
        }
    };
    if sort == Sort::Name {
        rows.sort_by(|a, b| a.name.cmp(&b.name));
    } else {
        // The greatest first, and what has none last.
        let key = |row: &Row| {
            let value = row.value(sort);
            if value.is_nan() { f64::NEG_INFINITY } else { value }
        };
        rows.sort_by(|a, b| key(b).total_cmp(&key(a)));
    }
    rows
}

const KEYS: [(&str, &str); 16] = [
    ("arrows, h j k l", "choose a chart"),
    ("page up/down, home/end", "further"),
    ("enter", "the chart alone, with a table"),
    ("s", "there: sort by another column"),
    ("tab, shift-tab, 1–9", "another page"),
    ("", ""),
    ("+ −", "less or more time"),
    ("[ ], shift-arrows", "earlier, later"),
    ("0, backspace", "all the time there is"),
    ("space", "hold or follow what is live"),
    ("", ""),
    ("/", "only series with some text"),
    ("esc", "back"),
    ("ctrl-l", "draw everything anew"),
    ("?", "this"),
    ("q, ctrl-c", "leave"),
];

/// What the keys do, over everything else.
pub fn help(buffer: &mut Buffer, area: Rect, theme: Theme) {
    let (wide, high) = (60.min(area.width), (KEYS.len() as u16 + 4).min(area.height));
    let place = Rect {
        x: area.x + (area.width - wide) / 2,
        y: area.y + (area.height - high) / 2,
        width: wide,
        height: high,
    };
    for y in place.top()..place.bottom() {
        for x in place.left()..place.right() {
            if let Some(cell) = buffer.cell_mut((x, y)) {
                cell.reset();
            }
        }
    }
    let rule = "━".repeat(wide.into());
    put(buffer, (place.x, place.y), wide, &rule, theme.accent());
    put(buffer, (place.x + 1, place.y), wide.saturating_sub(1), " keys ", theme.accent());
    let inside = place.bottom().saturating_sub(1);
    for (y, (keys, what)) in (place.y + 2..inside).zip(KEYS) {
        put(buffer, (place.x + 2, y), wide.saturating_sub(2).min(24), keys, theme.accent());
        put(buffer, (place.x + 27.min(wide), y), wide.saturating_sub(27), what, Style::new());
    }
    if high > 1 {
        put(buffer, (place.x, place.bottom() - 1), wide, &rule, theme.accent());
    }
}
