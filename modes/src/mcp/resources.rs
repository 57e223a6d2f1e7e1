//! What can be attached to a conversation without asking a tool: inputs, their metrics, their dashboards.

use std::borrow::Cow;
use std::fmt::Write;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use rmcp::model::{
    ErrorData, ListResourcesResult, PaginatedRequestParams, ReadResourceResult, Resource, ResourceContents,
    ResourceTemplate,
};
use serde_json::{Map, json};

use super::within;
use crate::assist::{self, Answered, Assistant, Failure, Work};
use crate::viewer::dashboard::{self, Dashboard};

/// What an input is called is one part of a path.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
const SCHEME: &str = "rezolus://input/";
/// So many are listed at a time.
const PAGE: usize = 100;
const JSON: &str = "application/json";
const TEXT: &str = "text/plain";

fn uri(input: &str) -> String {
    format!("{SCHEME}{}", utf8_percent_encode(input, KEPT))
}

/// Where a list goes on.
///
/// # Errors
///
/// When the cursor is none of ours.
pub fn place(request: Option<PaginatedRequestParams>) -> Result<usize, ErrorData> {
    let Some(cursor) = request.and_then(|request| request.cursor) else { return Ok(0) };
    cursor.parse().map_err(|_| ErrorData::invalid_params("this cursor is not one of this server", None))
}

/// The inputs, and what each of those that were given at the start has besides.
pub fn list(assistant: &Assistant, from: usize) -> ListResourcesResult {
    let mut all = Vec::new();
    for one in assistant.available() {
        let input = &one.input;
        all.push(
            Resource::new(uri(input), input.clone())
                .with_title(format!("{input}: what it is"))
                .with_description("Source, span, machine, samplers, events, what was missed")
                .with_mime_type(JSON),
        );
        if one.given {
            all.push(
                Resource::new(format!("{}/metrics", uri(input)), format!("{input} metrics"))
                    .with_title(format!("{input}: metrics"))
                    .with_description("Names, types, units, labels and meanings; as many as fit")
                    .with_mime_type(TEXT),
            );
            all.push(
                Resource::new(format!("{}/dashboards", uri(input)), format!("{input} dashboards"))
                    .with_title(format!("{input}: dashboards"))
                    .with_description("Which dashboards there are, and what their charts show")
                    .with_mime_type(TEXT),
            );
        }
    }
    let total = all.len();
    let mut result = ListResourcesResult::with_all_items(all.into_iter().skip(from).take(PAGE).collect());
    let next = from.saturating_add(PAGE);
    result.next_cursor = (next < total).then(|| next.to_string());
    result
}

pub fn templates() -> Vec<ResourceTemplate> {
    let template = |path: &str, name: &str, about: &str, mime: &str| {
        ResourceTemplate::new(format!("{SCHEME}{{input}}{path}"), name)
            .with_description(about)
            .with_mime_type(mime)
    };
    vec![
        template(
            "",
            "input",
            "An input: a name that was given at the start, or the path of a recording",
            JSON,
        ),
        template("/metrics", "metrics", "Its metrics, as many as fit", TEXT),
        template("/metrics/{metric}", "metric", "What a metric means, and where it comes from", JSON),
        template("/dashboards", "dashboards", "Its dashboards", TEXT),
        template(
            "/dashboards/{dashboard}",
            "dashboard",
            "The charts of a dashboard, with their queries",
            TEXT,
        ),
    ]
}

/// Reads a resource.
///
/// # Errors
///
/// When there is none with this URI.
pub fn read(assistant: &Assistant, uri: &str, work: &Work) -> Result<ReadResourceResult, Failure> {
    let unknown = || Failure::usage(format!("there is no resource {uri}: they are {SCHEME}INPUT and below"));
    let path = uri.strip_prefix(SCHEME).ok_or_else(unknown)?;
    let parts = path.split('/').map(|part| percent_decode_str(part).decode_utf8());
    let parts = parts.collect::<Result<Vec<Cow<'_, str>>, _>>().map_err(|_| unknown())?;
    let parts: Vec<&str> = parts.iter().map(AsRef::as_ref).collect();
    let ask = |tool: &str, more: &[(&str, &str)]| {
        let tool = assist::tool(tool).ok_or_else(unknown)?;
        let mut arguments = Map::from_iter([("inputs".to_string(), json!([parts[0]]))]);
        arguments.extend(more.iter().map(|(name, value)| (name.to_string(), json!(value))));
        tool.run(assistant, arguments, work)
    };
    let (mime, text) = match parts[..] {
        [input] if !input.is_empty() => (JSON, structured(&ask("describe_recording", &[])?)),
        [_, "metrics"] => (TEXT, ask("describe_metrics", &[])?.text),
        [_, "metrics", metric] => {
            let answered = ask("describe_metrics", &[("search", metric)])?;
            let metrics = answered.structured["metrics"].as_array().into_iter().flatten();
            let found = metrics.clone().find(|found| found["name"] == metric);
            let found = found
                .ok_or_else(|| Failure::usage(format!("there is no metric {metric} in {}", parts[0])))?;
            (JSON, found.to_string())
        }
        [input, "dashboards"] => (TEXT, overview(&pages(assistant, input)?)),
        [input, "dashboards", id] => {
            let pages = pages(assistant, input)?;
            let page = pages.iter().find(|page| page.id == id).ok_or_else(|| {
                let ids: Vec<&str> = pages.iter().map(|page| page.id.as_str()).collect();
                Failure::usage(format!("there is no dashboard {id}; there are {}", ids.join(", ")))
            })?;
            (TEXT, charts(page))
        }
        _ => return Err(unknown()),
    };
    let text = within(text, assistant.most_bytes());
    Ok(ReadResourceResult::new(vec![ResourceContents::text(text, uri).with_mime_type(mime)]))
}

fn structured(answered: &Answered) -> String {
    answered.structured["recordings"][0].to_string()
}

fn pages(assistant: &Assistant, input: &str) -> Result<Vec<Dashboard>, Failure> {
    let inputs = assistant.open(&[input.to_string()])?;
    Ok(dashboard::pages(&inputs.all, &*inputs.source))
}

/// Dashboards, their groups and charts.
fn overview(pages: &[Dashboard]) -> String {
    let mut out = String::new();
    for page in pages {
        let _ = writeln!(out, "{} (id {})", page.title, page.id);
        for group in &page.groups {
            let titles: Vec<&str> = group.charts.iter().map(|chart| chart.title.as_str()).collect();
            let _ = writeln!(out, "    {}: {}", group.title, titles.join(", "));
        }
    }
    out
}

/// The charts of a dashboard. `$interval` and `$quantile` stay: the tool for queries knows the first.
fn charts(page: &Dashboard) -> String {
    let mut out = format!("{}\n", page.title);
    for group in &page.groups {
        let _ = writeln!(out, "\n{}", group.title);
        for chart in &group.charts {
            let _ = writeln!(out, "  {} ({}): {}", chart.title, chart.unit, chart.description);
            if let Some(missing) = &chart.missing {
                let _ = writeln!(out, "    nothing to show: {missing}");
            }
            for query in &chart.queries {
                let _ = writeln!(out, "    {}", query.query);
            }
        }
    }
    out
}
