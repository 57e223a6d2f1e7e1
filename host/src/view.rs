//! `rezolus view`.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Error, Result};
use rezolus_modes::query;
use rezolus_modes::viewer::{self, Viewer};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::agent::Signals;
use crate::cli::View;
use crate::modes::block_on;
use crate::{heap, http};

/// Where the viewer listens unless told otherwise.
const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 4244);

/// So long nobody has to ask before memory is given back,
const IDLE: Duration = Duration::from_secs(5);
/// or so many times as long somebody.
const BUSY: u32 = 6;

/// Serves the page until a signal.
///
/// # Errors
///
/// When an input cannot be opened, or the address cannot be listened on.
pub fn run(mut options: View) -> Result<ExitCode> {
    let query = query::Options { interval: options.interval, window: options.window, ..Default::default() };
    if options.tui {
        rezolus_modes::tui::view(&options.inputs, &query)?;
        return Ok(ExitCode::SUCCESS);
    }
    heap::keep();
    let listen = options.listen.or_else(|| positional_address(&mut options.inputs));
    let settings = viewer::Options {
        query,
        hosts: options.host,
        read_only: options.read_only,
        ..viewer::Options::default()
    };
    let (stop, stopped) = watch::channel(false);
    let viewer = Viewer::open(&options.inputs, settings, stopped.clone()).map_err(Error::msg)?;
    block_on(async {
        let listener = bind(listen).await?;
        let address = listener.local_addr().context("the listening socket has no address")?;
        let signals = Signals::listen().context("cannot listen to signals")?;
        if !viewer::is_built() {
            eprintln!(
                "rezolus: this binary was built without the viewer's page: run `make web`, then build again"
            );
        }
        let url = url(address);
        println!("{url}");
        eprintln!("viewing until Ctrl-C");
        if !options.no_open {
            open_browser(&url);
        }
        let idle = tokio::spawn(give_back_now_and_then(viewer.clone()));
        let server = tokio::spawn(http::serve(listener, viewer::router(viewer), stopped));
        signals.wait_for_end(|| {}).await;
        idle.abort();
        let _ = stop.send(true);
        let _ = server.await;
        Ok(ExitCode::SUCCESS)
    })
}

/// What queries needed is given back to the kernel when nobody asks for a while, and now and then
/// while somebody does, as a page that follows an agent: what is kept lies scattered with time.
async fn give_back_now_and_then(viewer: Arc<Viewer>) {
    let (mut before, mut given, mut waited) = (0, 0, 0);
    loop {
        tokio::time::sleep(IDLE).await;
        let now = viewer.answers();
        waited += 1;
        if now != given && (now == before || waited >= BUSY) {
            heap::give_back();
            (given, waited) = (now, 0);
        }
        before = now;
    }
}

/// `rezolus view INPUT LISTEN`: a bare address that comes last is where to listen. An agent there is http://ADDRESS.
fn positional_address(inputs: &mut Vec<String>) -> Option<SocketAddr> {
    let address = inputs.last().filter(|_| inputs.len() > 1)?.parse().ok()?;
    inputs.pop();
    Some(address)
}

async fn bind(wanted: Option<SocketAddr>) -> Result<TcpListener> {
    let address = wanted.unwrap_or(LISTEN);
    match TcpListener::bind(address).await {
        // Another viewer, most likely.
        Err(error) if wanted.is_none() && error.kind() == ErrorKind::AddrInUse => {
            TcpListener::bind(SocketAddr::new(address.ip(), 0)).await.context("cannot listen on 127.0.0.1")
        }
        bound => bound.with_context(|| format!("cannot listen on {address}; choose another with --listen")),
    }
}

/// Where a browser on this machine finds it.
fn url(mut address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        address.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    format!("http://{address}/")
}

/// Opens the user's browser, if there is a screen.
fn open_browser(url: &str) {
    let screen = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let program = match cfg!(target_os = "macos") {
        true => "open",
        false if screen("DISPLAY") || screen("WAYLAND_DISPLAY") => "xdg-open",
        false => return,
    };
    let started = Command::new(program)
        .arg(url)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    match started {
        // Waited for, so that no zombie stays.
        Ok(mut browser) => drop(std::thread::spawn(move || browser.wait())),
        Err(error) => tracing::debug!("{program}: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_address_that_comes_last_is_where_to_listen() {
        let positional = |inputs: &[&str]| {
            let mut inputs = inputs.iter().map(ToString::to_string).collect();
            (positional_address(&mut inputs), inputs)
        };
        let listen = "127.0.0.1:8000".parse().ok();
        assert_eq!(positional(&["a.parquet", "127.0.0.1:8000"]), (listen, vec!["a.parquet".to_string()]));
        assert_eq!(positional(&["127.0.0.1:4241"]).0, None);
        assert_eq!(positional(&["a", "http://127.0.0.1:4241"]).0, None);
        assert_eq!(url("0.0.0.0:80".parse().unwrap()), "http://127.0.0.1:80/");
        assert_eq!(url("[::1]:80".parse().unwrap()), "http://[::1]:80/");
    }
}
