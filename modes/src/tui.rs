//! The viewer in a terminal: pages of charts of a recording, or of what an agent samples.
//!
//! Three threads: one draws and answers keys, one reads keys, one asks the queries of the charts that are
//! on screen. They meet in one channel of events.

mod app;
mod areas;
mod ask;
mod axis;
mod canvas;
mod clock;
mod heat;
mod kind;
mod lines;
mod metrics;
mod plot;
mod screen;
mod span;
mod table;
#[cfg(test)]
mod tests;
mod text;
mod theme;
mod units;
mod worker;

use std::io::{IsTerminal, stdin, stdout};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, KeyEvent};
use rezolus_store::Source;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use app::{App, Outcome};
use ask::Side;
use theme::Theme;
use worker::{Answer, Worker};

use crate::query;
use crate::viewer::dashboard::{self, Dashboard};
use crate::viewer::inputs::{Opened, together};

/// How soon it is noticed that a signal came, or that it is over.
const NOTICE: Duration = Duration::from_millis(50);
/// And here.
const SIGNALS: Duration = Duration::from_millis(250);
/// What is live is not looked at more often.
const LEAST_TICK: Duration = Duration::from_millis(100);

#[derive(Clone, Debug)]
pub struct Options {
    /// Between samples.
    pub interval: Duration,
    /// Whether samples come while it is looked at.
    pub live: bool,
    /// What is looked at.
    pub title: String,
}

/// What happens.
enum Event {
    Key(KeyEvent),
    /// The terminal has another size.
    Resized,
    Answer(Box<Answer>),
    /// From when to when there are samples, and what keeps more from coming.
    Extent(Option<(i64, i64)>, Option<String>),
    /// Nobody asks any more.
    NoAnswers,
    /// A signal came, or the terminal is gone.
    Over,
}

/// Tells what keeps samples from coming.
pub type Trouble = Box<dyn Fn() -> Option<String> + Send>;

/// Something to look at.
pub struct Input {
    pub name: String,
    pub source: Arc<dyn Source>,
}

/// Opens recordings, logs and agents, `INPUT` or `NAME=INPUT`, and shows their pages until the user
/// leaves. Several are shown on one axis of time, all beginning where the first does.
///
/// # Errors
///
/// When one cannot be opened, and as [`run`].
pub fn view(inputs: &[String], options: &query::Options) -> anyhow::Result<()> {
    needs_terminal()?;
    if inputs.is_empty() {
        bail!("there is no input: give a recording, a log's folder, or an agent's URL");
    }
    let open = |input: &String| Opened::new(input, options).map(Arc::new).map_err(anyhow::Error::msg);
    let opened = inputs.iter().map(open).collect::<anyhow::Result<Vec<_>>>()?;
    let source = together(&opened);
    let mut pages = dashboard::pages(&opened, &*source);
    pages.extend(metrics::page(&*source));
    let interval = opened.iter().map(|input| input.interval()).max().unwrap_or(1);
    let options = Options {
        interval: Duration::from_nanos(u64::try_from(interval).unwrap_or(1)),
        live: opened.iter().any(|input| input.is_moving()),
        title: opened.iter().map(|input| input.title.as_str()).collect::<Vec<_>>().join(", "),
    };
    let inputs = opened.iter().map(|input| Input { name: input.name.clone(), source: input.source.clone() });
    let inputs = inputs.collect();
    run(inputs, pages, options, Box::new(move || opened.iter().find_map(|input| input.error())))
}

fn needs_terminal() -> anyhow::Result<()> {
    if stdout().is_terminal() && stdin().is_terminal() {
        return Ok(());
    }
    bail!("needs a terminal; to look at it in a browser, leave --tui away")
}

/// What is shown, each with what is to be added to times on screen: so that recordings begin together.
/// What is live is shown as it is.
fn sides(inputs: Vec<Input>, live: bool) -> Vec<Side> {
    let first = inputs.first().and_then(|input| input.source.range());
    let side = |Input { name, source }: Input| {
        let shift = match (first, source.range()) {
            (Some((first, _)), Some((start, _))) if !live => start.saturating_sub(first),
            _ => 0,
        };
        Side { name, source, shift }
    };
    inputs.into_iter().map(side).collect()
}

/// Shows pages until the user leaves.
///
/// # Errors
///
/// When there is no terminal, or nothing in a recording, or the terminal fails.
pub fn run(
    inputs: Vec<Input>,
    pages: Vec<Dashboard>,
    options: Options,
    trouble: Trouble,
) -> anyhow::Result<()> {
    needs_terminal()?;
    let sides = sides(inputs, options.live);
    let extent = sides.first().and_then(|side| side.source.range());
    if extent.is_none() && !options.live {
        bail!("{}: there are no samples in it", options.title);
    }
    let theme = Theme::from_environment(|name| std::env::var(name).ok());
    let interval = i64::try_from(options.interval.as_nanos()).unwrap_or(i64::MAX);
    let mut app = App::new(options.title, interval, options.live, pages, theme);
    app.span.set_extent(extent);
    let (events, happened) = channel();
    let keys = Keys::listen(events.clone()).context("signals and keys cannot be received")?;
    let worker = Worker::start(sides, trouble, events).context("no thread for queries")?;
    let mut terminal = enter()?;
    let result = follow(&mut terminal, &mut app, &worker, &happened, &keys.over, options.interval);
    // Of a terminal that is gone nothing is given back, and nobody is told.
    let restored = ratatui::try_restore();
    drop(worker);
    let gone = keys.over.load(Ordering::Relaxed) || restored.is_err();
    drop(keys);
    if gone {
        // Dropped, it would say on a terminal that is gone that it is gone, and panic of it.
        std::mem::forget(terminal);
    }
    result.or_else(|error| if gone { Ok(()) } else { Err(error) })
}

/// The terminal as it is to be drawn to. It is given back when this thread panics; what the one that
/// asks panics of is told in charts, and what others do may be borne, as damaged recordings are.
fn enter() -> anyhow::Result<DefaultTerminal> {
    let before = Arc::new(std::panic::take_hook());
    let others = before.clone();
    std::panic::set_hook(Box::new(move |panic| before(panic)));
    let terminal = ratatui::try_init();
    let drawing = std::thread::current().id();
    let restoring = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let thread = std::thread::current();
        if thread.id() == drawing {
            restoring(panic);
        } else if thread.name() != Some(worker::THREAD) {
            others(panic);
        }
    }));
    terminal.context("the terminal cannot be used")
}

/// Draws, and waits for what happens, until it is over.
fn follow(
    terminal: &mut DefaultTerminal,
    app: &mut App,
    worker: &Worker,
    happened: &Receiver<Event>,
    over: &AtomicBool,
    interval: Duration,
) -> anyhow::Result<()> {
    let tick = interval.max(LEAST_TICK);
    let mut next = Instant::now() + tick;
    let mut ordered = None;
    let mut by_hand = true;
    loop {
        terminal.draw(|frame| screen::draw(app, frame.buffer_mut()))?;
        let order = (app.page, app.span.shown(), app.visible.clone());
        if ordered.as_ref() != Some(&order) {
            worker.order(app.wanted(), by_hand);
            ordered = Some(order);
        }
        by_hand = false;
        let wait = if app.span.is_live() {
            next.saturating_duration_since(Instant::now())
        } else {
            interval_of_rest()
        };
        let mut event = match happened.recv_timeout(wait.min(SIGNALS)) {
            _ if over.load(Ordering::Relaxed) => return Ok(()),
            Ok(event) => Some(event),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        };
        // All that has come meanwhile is one frame's.
        while let Some(one) = event {
            match one {
                Event::Key(key) => match app.key(key) {
                    Outcome::Leave => return Ok(()),
                    // As when it has another size. `clear` asks where the cursor is, and waits for two
                    // seconds if the terminal does not say.
                    Outcome::Clear => {
                        let area = terminal.get_frame().area();
                        terminal.resize(area)?;
                    }
                    Outcome::Stay => by_hand = true,
                },
                Event::Resized => by_hand = true,
                Event::Answer(answer) => app.take(*answer),
                Event::Extent(extent, trouble) => {
                    app.span.set_extent(extent);
                    app.trouble = trouble;
                }
                Event::NoAnswers => bail!("the thread that asks queries has ended"),
                Event::Over => return Ok(()),
            }
            event = happened.try_recv().ok();
        }
        if app.span.is_live() && Instant::now() >= next {
            worker.look();
            next = Instant::now() + tick;
        }
    }
}

/// Nothing changes by itself.
fn interval_of_rest() -> Duration {
    Duration::from_secs(3600)
}

/// The thread that reads keys. It may never come back: of a terminal that is gone it reads nothing, again
/// and again. So nobody waits for it, and signals are noticed without it.
struct Keys {
    over: Arc<AtomicBool>,
}

impl Keys {
    fn listen(events: Sender<Event>) -> std::io::Result<Self> {
        let over = Arc::new(AtomicBool::new(false));
        for signal in [SIGTERM, SIGINT, SIGHUP] {
            signal_hook::flag::register(signal, over.clone())?;
        }
        let noticed = over.clone();
        let listen = move || {
            while !noticed.load(Ordering::Relaxed) {
                let event = match event::poll(NOTICE).and_then(|some| some.then(event::read).transpose()) {
                    Ok(None) => continue,
                    Ok(Some(event::Event::Key(key))) => Event::Key(key),
                    Ok(Some(event::Event::Resize(..))) => Event::Resized,
                    Ok(Some(_)) => continue,
                    Err(_) => break,
                };
                if events.send(event).is_err() {
                    return;
                }
            }
            let _ = events.send(Event::Over);
        };
        std::thread::Builder::new().name("keys".into()).spawn(listen)?;
        Ok(Self { over })
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}
