//! A Prometheus on a loopback port, with data of its own.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::queries::Query;
use crate::{Answer, labels_text};

pub struct Server {
    process: Child,
    address: SocketAddr,
    /// Removed at the end.
    _folder: TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Server {
    /// Starts one that has these samples.
    pub fn start(openmetrics: &str) -> Result<Self, String> {
        let told = |what: &str, why: std::io::Error| format!("{what}: {why}");
        let folder = TempDir::new().map_err(|why| told("a folder", why))?;
        let (input, blocks) = (folder.path().join("input"), folder.path().join("blocks"));
        let config = folder.path().join("config.yml");
        std::fs::write(&input, openmetrics).map_err(|why| told("input", why))?;
        std::fs::write(&config, "global: {evaluation_interval: 1m}\n").map_err(|why| told("config", why))?;
        let created = Command::new("promtool")
            .args(["tsdb", "create-blocks-from", "openmetrics"])
            .args([&input, &blocks])
            .output()
            .map_err(|why| told("promtool", why))?;
        if !created.status.success() {
            return Err(format!("promtool: {}", String::from_utf8_lossy(&created.stderr)));
        }
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let address = free.map_err(|why| told("a port", why))?;
        let process = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", blocks.display()))
            .arg(format!("--web.listen-address={address}"))
            .args(["--storage.tsdb.retention.time=100y", "--log.level=error"])
            .args(["--web.enable-remote-write-receiver", "--enable-feature=native-histograms"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|why| told("prometheus", why))?;
        let server = Self { process, address, _folder: folder };
        for _ in 0..300 {
            if server.request("GET /-/ready HTTP/1.0\r\n\r\n").is_ok_and(|(status, _)| status == 200) {
                return Ok(server);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Err("prometheus does not get ready".to_owned())
    }

    /// The answer, or the error it gives.
    pub fn ask(&self, query: &Query) -> Result<Result<Answer, String>, String> {
        let seconds = |millis: i64| format!("{}.{:03}", millis / 1000, millis % 1000);
        let text = encoded(&query.text.replace("double_exponential_smoothing", "holt_winters"));
        let (path, body) = match query.step {
            None => ("query", format!("query={text}&time={}", seconds(query.start))),
            Some(step) => {
                let (start, end, step) = (seconds(query.start), seconds(query.end), seconds(step));
                ("query_range", format!("query={text}&start={start}&end={end}&step={step}"))
            }
        };
        let request = format!(
            "POST /api/v1/{path} HTTP/1.0\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let (_, answer) = self.request(request).map_err(|why| why.to_string())?;
        let json: Value = serde_json::from_str(&answer).map_err(|why| format!("{why}: {answer}"))?;
        if json["status"] != "success" {
            return Ok(Err(json["error"].as_str().unwrap_or_default().to_owned()));
        }
        read(&json["data"]).map(Ok).ok_or_else(|| format!("not understood: {answer}"))
    }

    /// Writes samples: what is to be sent, compressed.
    pub fn write(&self, body: &[u8]) -> Result<(), String> {
        let head = format!(
            "POST /api/v1/write HTTP/1.0\r\nContent-Type: application/x-protobuf\r\nContent-Encoding: snappy\r\n\
             X-Prometheus-Remote-Write-Version: 0.1.0\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        match self.request([head.as_bytes(), body].concat()) {
            Ok((200..300, _)) => Ok(()),
            Ok((status, text)) => Err(format!("{status}: {text}")),
            Err(why) => Err(why.to_string()),
        }
    }

    fn request(&self, request: impl AsRef<[u8]>) -> std::io::Result<(u16, String)> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        stream.write_all(request.as_ref())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        Ok((status, body.to_owned()))
    }
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn read(data: &Value) -> Option<Answer> {
    let result = &data["result"];
    if data["resultType"] == "scalar" {
        return Some(BTreeMap::from([(String::new(), vec![point(result)?])]));
    }
    let row = |row: &Value| {
        let labels = row["metric"].as_object()?.iter();
        let labels = labels.map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
        let points = match row.get("values") {
            Some(values) => values.as_array()?.iter().map(point).collect::<Option<_>>()?,
            None => vec![point(&row["value"])?],
        };
        Some((labels_text(labels.collect::<Option<_>>()?), points))
    };
    result.as_array()?.iter().map(row).collect()
}

fn point(pair: &Value) -> Option<(i64, f64)> {
    let time = (pair[0].as_f64()? * 1000.0).round() as i64;
    Some((time, pair[1].as_str()?.parse().ok()?))
}
