//! A frame: what is where.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::app::{App, Grid};
use super::plot::Plot;
use super::table;
use super::text::{cut, put, width, wrap};
use super::{clock, units};

/// Below that, nothing can be made out.
const LEAST: (u16, u16) = (20, 5);
/// Below that, the pages are not listed on the left.
const WIDE: u16 = 100;
/// How wide a chart is at least, unless the screen is not.
const COLUMN: u16 = 48;
/// And about how high.
const HIGH: u16 = 11;
/// And at most, but for those alone.
const HIGHEST: u16 = 20;

/// Draws everything, and notes which charts are on screen.
pub fn draw(app: &mut App, buffer: &mut Buffer) {
    app.visible.clear();
    let area = buffer.area;
    if area.is_empty() {
        return;
    }
    if area.width < LEAST.0 || area.height < LEAST.1 {
        for (row, text) in (area.y..area.bottom()).zip(wrap("too small", area.width.into())) {
            put(buffer, (area.x, row), area.width, &text, Style::new());
        }
        return;
    }
    let row = |y: u16| Rect { y, height: 1, ..area };
    let rest = Rect { y: area.y + 1, height: area.height - 2, ..area };
    top(app, buffer, row(area.y));
    let left = if area.width >= WIDE { list(app, buffer, rest) } else { 0 };
    main(app, buffer, Rect { x: rest.x + left, width: rest.width - left, ..rest });
    bottom(app, buffer, row(area.bottom() - 1));
    if app.help {
        table::help(buffer, rest, app.theme);
    }
}

/// What is looked at, and of when.
fn top(app: &App, buffer: &mut Buffer, row: Rect) {
    buffer.set_style(row, Style::new().add_modifier(Modifier::REVERSED));
    let state = match (app.span.is_live(), app.span.is_following()) {
        (false, _) => "recorded",
        (true, true) if app.trouble.is_some() => "○ no answer",
        (true, true) => "● live",
        (true, false) => "‖ paused",
    };
    let times = app.span.shown().map(|(start, end)| {
        let length = end.saturating_sub(start) as f64 / 1e9;
        (clock::range(start, end), units::duration(length))
    });
    let interval = units::duration(app.interval as f64 / 1e9);
    // What is told depends on how much room there is.
    let candidates = match &times {
        Some((range, length)) => vec![
            format!("{range}  ({length})  every {interval}  {state} "),
            format!("{range}  ({length})  {state} "),
            format!("{range}  {state} "),
            format!("{length}  {state} "),
            format!("{state} "),
        ],
        None => vec![format!("{state} ")],
    };
    let page = app.pages.get(app.page).map_or("", |page| page.title.as_str());
    let name = if row.width >= WIDE || page.is_empty() {
        format!(" rezolus  {}", app.title)
    } else {
        format!(" {page}  {}", app.title)
    };
    let room = usize::from(row.width);
    // What is looked at may be cut, but not by much.
    let needed = width(&name).min(width(page) + 32);
    let fits = |text: &&String| width(text) + needed < room;
    // Whether it goes on is told even so.
    let least = || candidates.last().filter(|text| 2 * width(text) < room);
    let right = candidates.iter().find(fits).or_else(least).map_or("", String::as_str);
    let left = cut(&name, room.saturating_sub(width(right) + 1));
    let bold = Style::new().add_modifier(Modifier::BOLD | Modifier::REVERSED);
    put(buffer, (row.x, row.y), row.width, &left, bold);
    let x = row.right() - width(right).min(room) as u16;
    let plain = Style::new().add_modifier(Modifier::REVERSED);
    put(buffer, (x, row.y), row.width, right, plain);
}

/// The pages; how much of the width they take.
fn list(app: &App, buffer: &mut Buffer, area: Rect) -> u16 {
    let widest = app.pages.iter().map(|page| width(&page.title)).max().unwrap_or(0);
    let columns = (widest as u16 + 5).clamp(12, 26);
    let rows = usize::from(area.height);
    let first = (app.page + 1).saturating_sub(rows);
    for (at, page) in app.pages.iter().enumerate().skip(first).take(rows) {
        let y = area.y + (at - first) as u16;
        let number = if at < 9 { (at + 1).to_string() } else { " ".into() };
        let chosen = at == app.page;
        let style = if chosen { app.theme.accent() } else { Style::new() };
        put(buffer, (area.x, y), 1, if chosen { "▌" } else { " " }, style);
        put(buffer, (area.x + 1, y), 1, &number, app.theme.faint());
        let title = cut(&page.title, usize::from(columns) - 4);
        put(buffer, (area.x + 3, y), columns - 4, &title, style);
    }
    for y in area.top()..area.bottom() {
        put(buffer, (area.x + columns - 1, y), 1, "│", app.theme.grid());
    }
    columns + 1
}

/// The filter, what is wrong, or what the chosen chart shows; and how to learn more.
fn bottom(app: &App, buffer: &mut Buffer, row: Rect) {
    let theme = app.theme;
    let help = " ? help  q leave ";
    let room = usize::from(row.width).saturating_sub(if row.width >= 40 { width(help) + 1 } else { 0 });
    if row.width >= 40 {
        put(buffer, (row.right() - width(help) as u16, row.y), row.width, help, theme.faint());
    }
    if app.editing.is_some() {
        put(buffer, (row.x, row.y), row.width, &cut(&format!("/{}▏", app.filter), room), theme.accent());
    } else if !app.filter.is_empty() {
        let text = format!("only series with “{}”; esc shows all", app.filter);
        put(buffer, (row.x, row.y), row.width, &cut(&text, room), theme.accent());
    } else if let Some(trouble) = &app.trouble {
        put(buffer, (row.x, row.y), row.width, &cut(trouble, room), theme.wrong());
    } else if app.full {
        put(buffer, (row.x, row.y), row.width, &cut("↑↓ scroll  s sort  esc back", room), theme.faint());
    } else if let Some(chart) = app.charts().get(app.chosen) {
        put(buffer, (row.x, row.y), row.width, &cut(&chart.description, room), theme.faint());
    }
}

fn main(app: &mut App, buffer: &mut Buffer, area: Rect) {
    if area.is_empty() {
        return;
    }
    if app.charts().is_empty() {
        let text = if app.pages.is_empty() { "no dashboards are known for this input" } else { "no charts" };
        put(buffer, (area.x, area.y), area.width, &cut(text, area.width.into()), app.theme.faint());
        return;
    }
    if app.full {
        full(app, buffer, area);
    } else {
        charts(app, buffer, area);
    }
}

fn plot<'a>(app: &'a App, at: usize, chosen: bool) -> Option<Plot<'a>> {
    Some(Plot {
        chart: app.charts().get(at)?,
        loaded: app.loaded.get(&(app.page, at)),
        span: app.span.shown(),
        filter: &app.filter,
        theme: app.theme,
        chosen,
    })
}

/// Room for values, about: without the labels of the axis.
fn points(area: Rect) -> usize {
    usize::from(area.width.saturating_sub(8)).max(4)
}

/// The chosen chart, and a table of its series.
fn full(app: &mut App, buffer: &mut Buffer, area: Rect) {
    app.visible.push((app.chosen, points(area)));
    let high = if area.height < 14 { area.height } else { (area.height * 6 / 10).max(10) };
    app.grid.height = usize::from(area.height - high).saturating_sub(2);
    let below = Rect { y: area.y + high, height: area.height - high, ..area };
    let Some(plot) = plot(app, app.chosen, true) else { return };
    plot.draw(buffer, Rect { height: high, ..area });
    let first = table::draw(&plot, buffer, below, app.sort, app.table);
    app.table = first;
}

/// What is one below the other: headings, and rows of charts.
enum Item {
    Heading(String),
    Row(std::ops::Range<usize>),
}

fn items(app: &App, columns: usize) -> Vec<Item> {
    let mut items = Vec::new();
    let groups = app.pages.get(app.page).map_or(&[][..], |page| &page.groups);
    for (title, charts) in groups.iter().filter(|(_, charts)| !charts.is_empty()) {
        if !title.is_empty() {
            items.push(Item::Heading(title.clone()));
        }
        let rows = charts.clone().step_by(columns);
        items.extend(rows.map(|first| Item::Row(first..(first + columns).min(charts.end))));
    }
    items
}

/// The first item to show, so that the chosen chart is seen, and the heading above it.
fn first_item(items: &[Item], heights: &[u16], chosen: usize, top: usize, room: u16) -> usize {
    let at =
        items.iter().position(|item| matches!(item, Item::Row(row) if row.contains(&chosen))).unwrap_or(0);
    let sum = |first: usize| heights[first..=at].iter().map(|height| u32::from(*height)).sum::<u32>();
    let heading = at > 0 && matches!(items[at - 1], Item::Heading(_));
    let least = if heading && sum(at - 1) <= u32::from(room) { at - 1 } else { at };
    let mut first = top.min(least);
    while first < at && sum(first) > u32::from(room) {
        first += 1;
    }
    first
}

fn charts(app: &mut App, buffer: &mut Buffer, area: Rect) {
    let columns = (area.width / COLUMN).clamp(1, 3);
    let across = (area.height / HIGH).max(1);
    let items = items(app, columns.into());
    let headings = items.iter().filter(|item| matches!(item, Item::Heading(_))).count();
    // One row is left for a heading. A few charts are higher.
    let few = usize::from(area.height).saturating_sub(headings) / (items.len() - headings).max(1);
    let high = (area.height.saturating_sub(1) / across).max(1).max((few as u16).min(HIGHEST));
    let height = |item: &Item| if matches!(item, Item::Heading(_)) { 1 } else { high };
    let heights: Vec<u16> = items.iter().map(height).collect();
    let rows = items.iter().filter_map(|item| match item {
        Item::Row(row) => Some(row.clone()),
        Item::Heading(_) => None,
    });
    app.grid = Grid { rows: rows.collect(), height: across.into() };
    app.top = first_item(&items, &heights, app.chosen, app.top, area.height);
    let wide = (area.width - 2 * (columns - 1)) / columns;
    let first = app.top.min(items.len());
    let fitting = fit(&items[first..], &heights[first..], area.height);
    let mut y = area.y;
    for (item, high) in items[first..].iter().zip(fitting) {
        match item {
            Item::Heading(title) => {
                let style = app.theme.faint().add_modifier(Modifier::BOLD);
                put(buffer, (area.x + 1, y), area.width, &cut(title, area.width.into()), style);
            }
            Item::Row(row) => {
                for at in row.clone() {
                    let column = (at - row.start) as u16;
                    let place = Rect { x: area.x + column * (wide + 2), y, width: wide, height: high };
                    app.visible.push((at, points(place)));
                    if let Some(plot) = plot(app, at, at == app.chosen) {
                        plot.draw(buffer, place);
                    }
                }
            }
        }
        y += high;
    }
}

/// How high the items are of which there is something on screen. Rows that are left are the charts'.
fn fit(items: &[Item], heights: &[u16], room: u16) -> Vec<u16> {
    let (mut fitting, mut left) = (Vec::new(), room);
    for (item, &high) in items.iter().zip(heights) {
        let least = match item {
            // A heading alone at the end is none of anything.
            Item::Heading(_) if left < room => 5,
            Item::Heading(_) => 1,
            Item::Row(_) => high.min(6),
        };
        if left < least.max(1) {
            break;
        }
        fitting.push(high.min(left));
        left -= high.min(left);
    }
    let rows = || items.iter().zip(0..fitting.len()).filter(|(item, _)| matches!(item, Item::Row(_)));
    let rows: Vec<usize> = rows().map(|(_, at)| at).collect();
    for turn in 0..usize::from(left) {
        let Some(&at) = rows.get(turn % rows.len().max(1)) else { break };
        if fitting[at] < HIGHEST {
            fitting[at] += 1;
        }
    }
    fitting
}
