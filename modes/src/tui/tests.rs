//! What is on screen, and what keys do.

use std::sync::Arc;

use proptest::prelude::*;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use rezolus_store::memory::Memory;
use rezolus_store::set::Set;
use rezolus_store::{FloatHistogram, Labels, Sample, Source};

use super::app::{App, Outcome, Sort};
use super::ask::{Side, ask};
use super::clock::SECOND;
use super::screen;
use super::theme::{Depth, Theme};
use super::worker::Answer;
use super::{Input, sides};
use crate::viewer::dashboard::Dashboard;

const START: i64 = 1_790_000_000 * SECOND;

const PAGES: &str = r#"[
    {"title": "CPU", "groups": [
        {"title": "Usage", "charts": [
            {"title": "Time by state", "description": "What CPUs did.", "kind": "stacked", "unit": "cores",
             "queries": [{"query": "busy", "legend": "{{state}}"}]},
            {"title": "Load", "kind": "line", "unit": "percent", "queries": [{"query": "load", "legend": "load"}]},
            {"title": "Per CPU", "kind": "heatmap", "unit": "percent", "queries": [{"query": "cpu", "legend": "{{id}}"}]}
        ]},
        {"title": "More", "charts": [
            {"title": "Absent", "kind": "line", "unit": "count", "queries": [{"query": "absent_metric"}],
             "missing": "the sampler is off"},
            {"title": "Nothing", "kind": "line", "unit": "count", "queries": [{"query": "nothing"}]},
            {"title": "Wrong", "kind": "line", "unit": "count", "queries": [{"query": "sum(("}]}
        ]}
    ]},
    {"title": "Latency", "groups": [
        {"title": "", "charts": [
            {"title": "Quantiles", "kind": "percentiles", "unit": "nanoseconds",
             "queries": [{"query": "histogram_quantile($quantile, wait)", "legend": "wait"}]},
            {"title": "Bare", "kind": "percentiles", "unit": "nanoseconds", "queries": [{"query": "wait"}]},
            {"title": "Buckets", "kind": "heatmap", "unit": "nanoseconds", "queries": [{"query": "wait"}]}
        ]}
    ]},
    {"title": "Empty", "groups": []}
]"#;

fn pages() -> Vec<Dashboard> {
    serde_json::from_str(PAGES).unwrap()
}

fn append(memory: &mut Memory, labels: &[(&str, &str)], values: impl IntoIterator<Item = f64>) {
    let labels = Labels::new(labels.iter().copied());
    for (at, value) in values.into_iter().enumerate() {
        memory.append(&labels, START + at as i64 * SECOND, Sample::Float(value));
    }
}

fn histogram(at: usize) -> Sample {
    let bounds: Arc<[f64]> = [1e3, 1e4, 1e5, 1e6].into();
    let counts = vec![10.0, 50.0, 5.0, (at % 3) as f64];
    let span = rezolus_store::histogram::Span { offset: 0, length: 4 };
    Sample::Histogram(Arc::new(FloatHistogram {
        schema: rezolus_store::histogram::CUSTOM_SCHEMA,
        count: counts.iter().sum(),
        positive_spans: vec![span],
        positive_buckets: counts,
        custom_values: bounds,
        ..FloatHistogram::default()
    }))
}

fn source() -> Arc<dyn Source> {
    let mut memory = Memory::default();
    append(
        &mut memory,
        &[("__name__", "busy"), ("state", "user")],
        (0..300).map(|at| 1.0 + f64::from(at % 7) / 7.0),
    );
    append(&mut memory, &[("__name__", "busy"), ("state", "system")], (0..300).map(|_| 0.5));
    let spike = |at| if at == 151 { 98.0 } else { 20.0 };
    append(&mut memory, &[("__name__", "load")], (0..300).map(spike));
    for id in 0..16 {
        let values = (0..300).map(|at| f64::from((at + id * 10) % 100));
        append(&mut memory, &[("__name__", "cpu"), ("id", &id.to_string())], values);
    }
    for at in 0..300 {
        let labels = Labels::new([("__name__", "wait")]);
        memory.append(&labels, START + at as i64 * SECOND, histogram(at));
    }
    Arc::new(Set::new(vec![Arc::new(memory)]))
}

fn empty() -> Arc<dyn Source> {
    Arc::new(Memory::default())
}

fn app(depth: Depth) -> App {
    App::new("test.parquet".into(), SECOND, false, pages(), Theme { depth, dark: true })
}

/// Draws, asks what is wanted, and draws again.
fn show(app: &mut App, source: &Arc<dyn Source>, size: (u16, u16)) -> Buffer {
    let side = Side { name: "a".into(), source: source.clone(), shift: 0 };
    show_sides(app, &[side], size)
}

fn show_sides(app: &mut App, sides: &[Side], (width, height): (u16, u16)) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    app.span.set_extent(sides[0].source.range());
    terminal.draw(|frame| screen::draw(app, frame.buffer_mut())).unwrap();
    for (key, wanted) in app.wanted() {
        app.take(Answer { key, result: ask(sides, &wanted, &Arc::default()) });
    }
    terminal.draw(|frame| screen::draw(app, frame.buffer_mut())).unwrap();
    terminal.backend().buffer().clone()
}

fn text(buffer: &Buffer) -> String {
    let width = usize::from(buffer.area.width);
    let row = |cells: &[ratatui::buffer::Cell]| {
        let text: String = cells.iter().map(|cell| cell.symbol()).collect();
        text.trim_end().to_string() + "\n"
    };
    buffer.content.chunks(width).map(row).collect()
}

fn press(app: &mut App, code: KeyCode) -> Outcome {
    app.key(KeyEvent::new(code, KeyModifiers::NONE))
}

fn holds(screen: &str, texts: &[&str]) {
    for text in texts {
        assert!(screen.contains(text), "{text:?} is not in\n{screen}");
    }
}

#[test]
fn a_small_screen_has_one_column() {
    let mut app = app(Depth::Full);
    let screen = text(&show(&mut app, &source(), (80, 24)));
    holds(&screen, &["CPU  test.parquet", "recorded", "Usage", "━ Time by state ━", "─ Load ─", "? help"]);
    holds(
        &screen,
        &["■ user 1.", "■ system 0.5 cores", "■ load  mean 20.3 %  min 20 %  max 98 %", "What CPUs did."],
    );
    assert!(!screen.contains("Per CPU") && !screen.contains("rezolus"));
    assert_eq!(app.visible.iter().map(|(chart, _)| *chart).collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn a_large_screen_has_three_and_the_pages() {
    let mut app = app(Depth::Full);
    let screen = text(&show(&mut app, &source(), (200, 50)));
    holds(&screen, &["▌1 CPU", " 2 Latency", "rezolus  test.parquet", "(4 min 59 s)  every 1 s  recorded"]);
    holds(&screen, &["Time by state", "Load", "Per CPU", "max 98.5 %", "0 % "]);
    holds(&screen, &["the sampler is off", "no data here", "parse error"]);
    let first = screen.lines().find(|line| line.contains("Time by state")).unwrap();
    assert!(first.contains("Load") && first.contains("Per CPU"));
}

#[test]
fn the_smallest_screens_show_what_they_can() {
    let screen = text(&show(&mut app(Depth::Full), &source(), (20, 5)));
    holds(&screen, &["━ Time by state ━"]);
    for width in 0..30 {
        for height in 0..8 {
            show(&mut app(Depth::Indexed), &source(), (width, height));
        }
    }
}

#[test]
fn histograms_are_lines_of_quantiles_and_heat() {
    let mut app = app(Depth::Full);
    press(&mut app, KeyCode::Char('2'));
    let screen = text(&show(&mut app, &source(), (200, 50)));
    holds(&screen, &["■ wait p50 ", "wait p99 ", "+1", "■ p50 ", "p99.9 ", "few", "many", "10 µs", "100 µs"]);
    assert!(screen.contains('▀'));
}

#[test]
fn a_spike_of_one_sample_is_seen_however_long_the_span() {
    let mut app = app(Depth::Full);
    app.chosen = 1;
    let buffer = show(&mut app, &source(), (40, 24));
    // The mean of its lot is far lower: what reaches the top is drawn weakly.
    let weak = Theme { depth: Depth::Full, dark: true }.weak(0).fg;
    let top: Vec<_> = buffer.content.iter().filter(|cell| cell.style().fg == weak).collect();
    assert!(top.iter().any(|cell| matches!(cell.symbol().chars().next(), Some('\u{2801}'..='\u{28ff}'))));
}

#[test]
fn a_chart_alone_has_a_table_that_is_sorted() {
    let mut app = app(Depth::Full);
    let source = source();
    press(&mut app, KeyCode::Enter);
    let screen = text(&show(&mut app, &source, (120, 40)));
    holds(&screen, &["━ Time by state", "What CPUs did.", "series", "mean▾", "max"]);
    assert!(screen.find("user    ") < screen.find("system    "));
    for _ in 0..4 {
        press(&mut app, KeyCode::Char('s'));
    }
    assert_eq!(app.sort, Sort::Name);
    let screen = text(&show(&mut app, &source, (120, 40)));
    assert!(screen.find("user    ") > screen.find("system    "), "{screen}");
    press(&mut app, KeyCode::Right);
    press(&mut app, KeyCode::Right);
    let screen = text(&show(&mut app, &source, (120, 24)));
    holds(&screen, &["━ Per CPU"]);
    for _ in 0..50 {
        press(&mut app, KeyCode::Down);
        show(&mut app, &source, (120, 24));
    }
    assert!(app.table > 0 && app.table < 16);
    assert_eq!(press(&mut app, KeyCode::Esc), Outcome::Stay);
    assert!(!app.full);
    assert_eq!(press(&mut app, KeyCode::Esc), Outcome::Leave);
}

#[test]
fn keys_choose_charts_and_pages() {
    let mut app = app(Depth::Full);
    let source = source();
    show(&mut app, &source, (200, 50));
    for (key, chosen) in [
        (KeyCode::Right, 1),
        (KeyCode::Down, 4),
        (KeyCode::Down, 4),
        (KeyCode::Char('l'), 5),
        (KeyCode::Char('l'), 5),
        (KeyCode::Char('k'), 2),
        (KeyCode::Char('h'), 1),
        (KeyCode::PageDown, 4),
        (KeyCode::Home, 0),
        (KeyCode::End, 5),
        (KeyCode::Char('g'), 0),
        (KeyCode::Char('j'), 3),
    ] {
        press(&mut app, key);
        assert_eq!(app.chosen, chosen, "{key:?}");
    }
    // What is chosen is on screen.
    let screen = text(&show(&mut app, &source, (80, 16)));
    holds(&screen, &["More", "━ Absent ━"]);
    for (key, page) in [
        (KeyCode::Tab, 1),
        (KeyCode::Tab, 2),
        (KeyCode::Tab, 0),
        (KeyCode::BackTab, 2),
        (KeyCode::Char('1'), 0),
        (KeyCode::Char('9'), 0),
    ] {
        press(&mut app, key);
        assert_eq!((app.page, app.chosen.min(1)), (page, app.chosen), "{key:?}");
    }
    press(&mut app, KeyCode::Char('3'));
    holds(&text(&show(&mut app, &source, (80, 16))), &["no charts"]);
    for key in [KeyCode::Down, KeyCode::Enter, KeyCode::Right, KeyCode::End, KeyCode::PageUp] {
        press(&mut app, key);
        show(&mut app, &source, (80, 16));
    }
    assert!(!app.full);
}

#[test]
fn keys_change_the_span() {
    let mut app = app(Depth::Full);
    show(&mut app, &source(), (80, 24));
    let all = (START, START + 299 * SECOND);
    let width = |app: &App| app.span.shown().map(|(start, end)| end - start).unwrap();
    assert_eq!(app.span.shown(), Some(all));
    press(&mut app, KeyCode::Char('+'));
    assert_eq!(width(&app), 299 * SECOND / 2);
    let before = app.span.shown();
    app.key(KeyEvent::new(KeyCode::Left, KeyModifiers::SHIFT));
    assert!(app.span.shown() < before && width(&app) == 299 * SECOND / 2);
    press(&mut app, KeyCode::Char(']'));
    assert_eq!(app.span.shown(), before);
    press(&mut app, KeyCode::Char('-'));
    assert_eq!(app.span.shown(), Some(all));
    press(&mut app, KeyCode::Char('='));
    press(&mut app, KeyCode::Backspace);
    assert_eq!(app.span.shown(), Some(all));
}

#[test]
fn a_filter_leaves_some_series() {
    let mut app = app(Depth::Full);
    let source = source();
    for key in "/SYS".chars() {
        press(&mut app, KeyCode::Char(key));
    }
    assert_eq!(app.filter, "SYS");
    let screen = text(&show(&mut app, &source, (80, 24)));
    holds(&screen, &["/SYS▏", "■ system", "no series has “SYS” in its name"]);
    assert!(!screen.contains("user"));
    press(&mut app, KeyCode::Enter);
    holds(&text(&show(&mut app, &source, (80, 24))), &["only series with “SYS”"]);
    press(&mut app, KeyCode::Char('/'));
    press(&mut app, KeyCode::Backspace);
    press(&mut app, KeyCode::Esc);
    assert_eq!(app.filter, "SYS");
    assert_eq!(press(&mut app, KeyCode::Esc), Outcome::Stay);
    assert!(app.filter.is_empty());
    // A q that is written does not leave.
    press(&mut app, KeyCode::Char('/'));
    assert_eq!(press(&mut app, KeyCode::Char('q')), Outcome::Stay);
    assert_eq!(app.key(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)), Outcome::Leave);
}

#[test]
fn what_is_live_waits_for_samples_and_is_held() {
    let mut app = App::new("agent".into(), SECOND, true, pages(), Theme { depth: Depth::Full, dark: true });
    let screen = text(&show(&mut app, &empty(), (80, 24)));
    holds(&screen, &["● live", "waiting for the first samples"]);
    holds(&text(&show(&mut app, &source(), (80, 24))), &["● live", "■ load"]);
    press(&mut app, KeyCode::Char(' '));
    holds(&text(&show(&mut app, &source(), (80, 24))), &["‖ paused"]);
    press(&mut app, KeyCode::Char('?'));
    holds(&text(&show(&mut app, &source(), (80, 24))), &["━ keys ━", "hold or follow what is live"]);
    press(&mut app, KeyCode::Char('q'));
    assert!(!app.help);
}

#[test]
fn without_colours_shades_tell_what_there_is() {
    let mut app = app(Depth::None);
    let buffer = show(&mut app, &source(), (200, 50));
    let colours = |cell: &ratatui::buffer::Cell| (cell.fg, cell.bg);
    let none = (ratatui::style::Color::Reset, ratatui::style::Color::Reset);
    assert!(buffer.content.iter().all(|cell| colours(cell) == none));
    holds(&text(&buffer), &["░", "▒", "▓", "█"]);
}

#[test]
fn few_colours_are_the_eight_that_any_terminal_has() {
    let mut app = app(Depth::Few);
    let buffer = show(&mut app, &source(), (200, 50));
    let any = |colour| !matches!(colour, ratatui::style::Color::Rgb(..) | ratatui::style::Color::Indexed(_));
    assert!(buffer.content.iter().all(|cell| any(cell.fg) && any(cell.bg)));
    holds(&text(&buffer), &["░", "▒", "▓", "█"]);
}

#[test]
fn a_screen_has_room_for_something_or_says_so() {
    let mut app = app(Depth::Full);
    for (width, height) in [(19, 24), (80, 4), (9, 2), (3, 8)] {
        let screen = text(&show(&mut app, &source(), (width, height)));
        assert_eq!(screen.split_whitespace().collect::<String>(), "toosmall", "{width} {height}");
    }
    holds(&text(&show(&mut app, &source(), (20, 5))), &["Time by state"]);
    // No row is left empty, also where rows are not a multiple of charts.
    for height in 20..40 {
        let screen = text(&show(&mut app, &source(), (80, height)));
        let last = screen.lines().rev().nth(1).unwrap();
        assert!(!last.is_empty(), "{height} rows:\n{screen}");
    }
}

#[test]
fn a_series_keeps_its_colour_while_others_come() {
    let mut app = app(Depth::Full);
    let busy = |states: &[&str]| -> Arc<dyn Source> {
        let mut memory = Memory::default();
        for state in states {
            append(&mut memory, &[("__name__", "busy"), ("state", state)], [1.0, 1.0, 1.0]);
        }
        Arc::new(memory)
    };
    show(&mut app, &busy(&["user"]), (80, 24));
    let buffer = show(&mut app, &busy(&["user", "a first one"]), (80, 24));
    let theme = Theme { depth: Depth::Full, dark: true };
    let marks: Vec<_> =
        buffer.content.iter().filter(|cell| cell.symbol() == "■").map(|cell| cell.fg).collect();
    assert!(marks.contains(&theme.series(0)) && marks.contains(&theme.series(1)), "{marks:?}");
    let names = app.loaded[&(0, 0)].colour_of_name("user");
    assert_eq!(names, Some(0));
}

#[test]
fn several_recordings_begin_together_and_are_told_apart() {
    let mut later = Memory::default();
    for at in 0..200 {
        let time = START + 86_400 * SECOND + at * SECOND;
        later.append(&Labels::new([("__name__", "busy"), ("state", "user")]), time, Sample::Float(3.0));
        later.append(&Labels::new([("__name__", "wait")]), time, histogram(0));
    }
    let before = Input { name: "before".into(), source: source() };
    let after = Input { name: "after".into(), source: Arc::new(later) };
    let sides = sides(vec![before, after], false);
    let mut app = app(Depth::Full);
    let screen = text(&show_sides(&mut app, &sides, (200, 50)));
    holds(&screen, &["■ before: user 1.", "■ after: user 3 cores", "■ before: load"]);
    assert!(!screen.contains('▅'), "areas of both would be on top of each other");
    press(&mut app, KeyCode::Char('2'));
    let screen = text(&show_sides(&mut app, &sides, (200, 50)));
    holds(&screen, &["■ before: wait p50", "■ before: p50"]);
    assert!(!screen.contains('▀'));
    // Nothing is shifted of what is live.
    let live = super::sides(vec![Input { name: "a".into(), source: empty() }], true);
    assert_eq!(live[0].shift, 0);
}

#[test]
fn what_keeps_an_agent_from_answering_is_told() {
    let mut app = App::new("agent".into(), SECOND, true, pages(), Theme { depth: Depth::Full, dark: true });
    app.trouble = Some("http://localhost:1: connection refused".into());
    holds(&text(&show(&mut app, &source(), (80, 24))), &["connection refused", "○ no answer"]);
    app.trouble = None;
    holds(&text(&show(&mut app, &source(), (80, 24))), &["● live"]);
}

fn values() -> impl Strategy<Value = Vec<f64>> {
    let value = prop_oneof![
        4 => -1e6..1e6f64,
        1 => prop::num::f64::ANY,
        1 => prop::sample::select(vec![
            f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN, f64::MIN_POSITIVE, 0.0, -0.0, 5e-324,
        ]),
    ];
    prop::collection::vec(value, 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// Pages come from plugins that nobody here has heard of.
    #[test]
    fn no_page_is_too_strange(
        (width, height) in (20..130u16, 5..45u16),
        texts in prop::collection::vec(".{0,30}|[\u{0}-\u{9f}\u{200b}\u{202e}日]{0,40}", 6),
        kinds in prop::collection::vec("line|stacked|heatmap|percentiles|.{0,3}", 4),
        queries in prop::collection::vec(prop::sample::select(vec![
            "busy", "wait", "load", "busy or load", "histogram_quantile($quantile, wait)", "$quantile", "sum(", "", "1",
        ]), 0..4),
        full in any::<bool>(),
    ) {
        let queries: Vec<_> = queries.iter().zip(texts.iter().cycle())
            .map(|(query, legend)| serde_json::json!({"query": query, "legend": legend})).collect();
        let chart = |kind: &String| serde_json::json!({"title": texts[0], "description": texts[1], "kind": kind,
            "unit": texts[2], "queries": queries, "missing": texts[3]});
        let charts: Vec<_> = kinds.iter().map(chart).collect();
        let page = serde_json::json!([{"title": texts[4], "groups": [{"title": texts[5], "charts": charts}]}]);
        let pages = serde_json::from_value(page).unwrap();
        let mut app = App::new(texts[0].clone(), SECOND, false, pages, Theme { depth: Depth::Full, dark: true });
        if full {
            press(&mut app, KeyCode::Enter);
        }
        let buffer = show(&mut app, &source(), (width, height));
        // What would move the cursor, or worse, is not sent to the terminal.
        prop_assert!(!buffer.content.iter().any(|cell| cell.symbol().chars().any(char::is_control)));
    }

    #[test]
    fn nothing_makes_a_frame_fail(
        (width, height) in (0..130u16, 0..45u16),
        data in prop::collection::vec(values(), 0..5),
        keys in prop::collection::vec(prop::sample::select(vec![
            KeyCode::Char('+'), KeyCode::Char('-'), KeyCode::Char('['), KeyCode::Char(']'), KeyCode::Char(' '),
            KeyCode::Char('0'), KeyCode::Enter, KeyCode::Tab, KeyCode::Right, KeyCode::Down, KeyCode::End,
            KeyCode::Char('s'), KeyCode::Char('?'), KeyCode::Char('/'), KeyCode::Char('1'), KeyCode::Char('日'),
        ]), 0..8),
        live in any::<bool>(),
        depth in prop::sample::select(vec![Depth::None, Depth::Few, Depth::Indexed, Depth::Full]),
    ) {
        let mut memory = Memory::default();
        for (at, values) in data.iter().enumerate() {
            let id = format!("日本 {at}\u{1b}[31m");
            for name in ["busy", "load", "cpu", "wait"] {
                append(&mut memory, &[("__name__", name), ("id", &id), ("state", &id)], values.iter().copied());
            }
        }
        let source: Arc<dyn Source> = Arc::new(memory);
        let mut app = App::new("t".into(), SECOND, live, pages(), Theme { depth, dark: false });
        show(&mut app, &source, (width, height));
        for key in keys {
            press(&mut app, key);
            show(&mut app, &source, (width, height));
        }
    }
}
