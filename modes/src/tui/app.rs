//! What is chosen and known, and what keys do about it. Nothing here waits for anything.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::ask::{Body, Drawn, Line, Wanted};
use super::kind::Kind;
use super::span::Span;
use super::theme::Theme;
use super::worker::{Answer, Key};
use crate::viewer::dashboard::{Chart, Dashboard};

/// How many names a chart keeps the colours of.
const MOST_COLOURS: usize = 10_000;

/// The charts of a page, and which of them are in which group.
pub struct Paged {
    pub title: String,
    pub charts: Vec<Arc<Chart>>,
    pub groups: Vec<(String, Range<usize>)>,
}

impl From<Dashboard> for Paged {
    fn from(page: Dashboard) -> Self {
        let (mut charts, mut groups) = (Vec::new(), Vec::new());
        for group in page.groups {
            let first = charts.len();
            charts.extend(group.charts.into_iter().map(Arc::new));
            groups.push((group.title, first..charts.len()));
        }
        Self { title: page.title, charts, groups }
    }
}

/// What is known of a chart.
#[derive(Default)]
pub struct Loaded {
    /// Nothing before the first answer.
    pub result: Option<Result<Drawn, String>>,
    /// Which number a series has, which it keeps.
    colours: HashMap<String, usize>,
}

impl Loaded {
    pub fn colour(&self, line: &Line) -> usize {
        self.colours.get(&line.key).copied().unwrap_or(0)
    }

    #[cfg(test)]
    pub fn colour_of_name(&self, name: &str) -> Option<usize> {
        let Some(Ok(Drawn { body: Body::Lines(lines), .. })) = &self.result else { return None };
        lines.iter().find(|line| line.name == name).map(|line| self.colour(line))
    }

    fn take(&mut self, result: Result<Drawn, String>) {
        if let Ok(Drawn { body: Body::Lines(lines), .. }) = &result {
            if self.colours.len() > MOST_COLOURS {
                self.colours.clear();
            }
            for line in lines {
                let next = self.colours.len();
                self.colours.entry(line.key.clone()).or_insert(next);
            }
        }
        self.result = Some(result);
    }
}

/// By what the table of series is sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    #[default]
    Mean,
    Greatest,
    Least,
    Last,
    Name,
}

impl Sort {
    fn next(self) -> Self {
        match self {
            Self::Mean => Self::Greatest,
            Self::Greatest => Self::Least,
            Self::Least => Self::Last,
            Self::Last => Self::Name,
            Self::Name => Self::Mean,
        }
    }
}

/// How charts were laid out when they were last drawn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grid {
    /// The charts of each row.
    pub rows: Vec<Range<usize>>,
    /// How many rows there is room for.
    pub height: usize,
}

impl Grid {
    fn row_of(&self, chart: usize) -> usize {
        self.rows.iter().position(|row| row.contains(&chart)).unwrap_or(0)
    }
}

pub struct App {
    pub title: String,
    pub interval: i64,
    pub theme: Theme,
    pub pages: Vec<Paged>,
    pub page: usize,
    /// Which of the page's charts.
    pub chosen: usize,
    /// The first item on screen.
    pub top: usize,
    /// Whether the chosen chart has the screen to itself.
    pub full: bool,
    pub sort: Sort,
    /// The first row of the table.
    pub table: usize,
    pub help: bool,
    pub filter: String,
    /// While it is written: the filter as it was.
    pub editing: Option<String>,
    pub span: Span,
    pub loaded: HashMap<Key, Loaded>,
    /// What was drawn: charts and how many lots there is room for.
    pub visible: Vec<(usize, usize)>,
    pub grid: Grid,
    /// What keeps it from going on.
    pub trouble: Option<String>,
}

/// What a key led to, besides another frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Stay,
    /// Everything is to be drawn anew.
    Clear,
    Leave,
}

impl App {
    pub fn new(title: String, interval: i64, live: bool, pages: Vec<Dashboard>, theme: Theme) -> Self {
        Self {
            title,
            interval: interval.max(1),
            theme,
            pages: pages.into_iter().map(Paged::from).collect(),
            page: 0,
            chosen: 0,
            top: 0,
            full: false,
            sort: Sort::default(),
            table: 0,
            help: false,
            filter: String::new(),
            editing: None,
            span: Span::new(live, interval),
            loaded: HashMap::new(),
            visible: Vec::new(),
            grid: Grid::default(),
            trouble: None,
        }
    }

    pub fn charts(&self) -> &[Arc<Chart>] {
        self.pages.get(self.page).map_or(&[], |page| &page.charts)
    }

    pub fn take(&mut self, answer: Answer) {
        self.loaded.entry(answer.key).or_default().take(answer.result);
    }

    /// What is to be asked for what is on screen.
    pub fn wanted(&self) -> Vec<(Key, Wanted)> {
        let Some((start, end)) = self.span.shown() else { return Vec::new() };
        let wanted = |&(at, points): &(usize, usize)| {
            let chart = self.charts().get(at)?.clone();
            let points = match Kind::of(&chart.kind) {
                // Two dots to a character.
                Kind::Line | Kind::Percentiles => 2 * points,
                Kind::Stacked | Kind::Heatmap => points,
            };
            let interval = self.interval;
            Some(((self.page, at), Wanted { chart, start, end, points, interval, weight: None }))
        };
        self.visible.iter().filter_map(wanted).collect()
    }

    /// What a key does.
    pub fn key(&mut self, key: KeyEvent) -> Outcome {
        if key.kind == KeyEventKind::Release {
            return Outcome::Stay;
        }
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c' | 'C') if control => return Outcome::Leave,
            KeyCode::Char('l' | 'L') if control => return Outcome::Clear,
            _ if control || key.modifiers.contains(KeyModifiers::ALT) => return Outcome::Stay,
            _ => {}
        }
        if self.editing.is_some() {
            self.edit(key.code);
            return Outcome::Stay;
        }
        if self.help {
            self.help = false;
            return Outcome::Stay;
        }
        match key.code {
            KeyCode::Char('q') => return Outcome::Leave,
            KeyCode::Esc => return self.back(),
            _ => {}
        }
        let shift = key.modifiers.contains(KeyModifiers::SHIFT);
        if !self.time(key.code, shift) && !self.choose_page(key.code) {
            self.choose(key.code);
        }
        Outcome::Stay
    }

    /// Leaves what was entered last.
    fn back(&mut self) -> Outcome {
        if self.full {
            self.full = false;
        } else if !self.filter.is_empty() {
            self.filter.clear();
        } else {
            return Outcome::Leave;
        }
        Outcome::Stay
    }

    fn edit(&mut self, code: KeyCode) {
        match code {
            KeyCode::Enter => self.editing = None,
            KeyCode::Esc => self.filter = self.editing.take().unwrap_or_default(),
            KeyCode::Backspace => {
                self.filter.pop();
            }
            KeyCode::Char(c) => self.filter.push(c),
            _ => {}
        }
    }

    /// Keys that change the span of time; false for others.
    fn time(&mut self, code: KeyCode, shift: bool) -> bool {
        match code {
            KeyCode::Left if shift => self.span.pan(-0.25),
            KeyCode::Right if shift => self.span.pan(0.25),
            KeyCode::Char('[' | 'H') => self.span.pan(-0.25),
            KeyCode::Char(']' | 'L') => self.span.pan(0.25),
            KeyCode::Char('+' | '=') => self.span.zoom(0.5),
            KeyCode::Char('-' | '_') => self.span.zoom(2.0),
            KeyCode::Char('0') | KeyCode::Backspace => self.span.all(),
            KeyCode::Char(' ') => self.span.toggle(),
            _ => return false,
        }
        true
    }

    fn choose_page(&mut self, code: KeyCode) -> bool {
        let count = self.pages.len();
        let page = match code {
            KeyCode::Tab if count > 0 => (self.page + 1) % count,
            KeyCode::BackTab if count > 0 => (self.page + count - 1) % count,
            KeyCode::Char(c @ '1'..='9') => {
                let page = c as usize - '1' as usize;
                if page < count { page } else { return true }
            }
            _ => return false,
        };
        if page != self.page {
            (self.page, self.chosen, self.top, self.table, self.full) = (page, 0, 0, 0, false);
        }
        true
    }

    fn choose(&mut self, code: KeyCode) {
        match code {
            KeyCode::Char('?') | KeyCode::F(1) => self.help = true,
            KeyCode::Char('/') => self.editing = Some(self.filter.clone()),
            KeyCode::Char('s') if self.full => self.sort = self.sort.next(),
            KeyCode::Enter if !self.charts().is_empty() => (self.full, self.table) = (!self.full, 0),
            KeyCode::Left | KeyCode::Char('h') => self.go(self.chosen.saturating_sub(1)),
            KeyCode::Right | KeyCode::Char('l') => self.go(self.chosen + 1),
            KeyCode::Home | KeyCode::Char('g') => self.go(0),
            KeyCode::End | KeyCode::Char('G') => self.go(usize::MAX),
            KeyCode::Up | KeyCode::Char('k') => self.vertical(-1),
            KeyCode::Down | KeyCode::Char('j') => self.vertical(1),
            KeyCode::PageUp => self.vertical(-(self.grid.height.max(1) as isize)),
            KeyCode::PageDown => self.vertical(self.grid.height.max(1) as isize),
            _ => {}
        }
    }

    fn go(&mut self, chart: usize) {
        let last = self.charts().len().saturating_sub(1);
        let chart = chart.min(last);
        if chart != self.chosen {
            (self.chosen, self.table) = (chart, 0);
        }
    }

    /// Rows of the table, or of charts.
    fn vertical(&mut self, rows: isize) {
        if self.full {
            self.table = self.table.saturating_add_signed(rows);
            return;
        }
        let row = self.grid.row_of(self.chosen);
        let Some(here) = self.grid.rows.get(row) else { return };
        let column = self.chosen.saturating_sub(here.start);
        let to = row.saturating_add_signed(rows).min(self.grid.rows.len() - 1);
        let there = &self.grid.rows[to];
        if to != row && !there.is_empty() {
            self.go((there.start + column).min(there.end - 1));
        }
    }
}
