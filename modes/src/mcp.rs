//! A Model Context Protocol server over [the assistant's tools](crate::assist).
//!
//! The protocol is the SDK's: revisions, their negotiation, transports, cancellation. Here is what is served: tools,
//! resources and prompts. It only reads. What an assistant asks wrongly is a tool error, which a model reads and
//! learns from; errors of the protocol are for requests that no tool was meant by.

pub mod http;
mod prompts;
mod resources;

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use rezolus_store::api::run::Runner;
use rmcp::model::{
    CacheScope, CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ErrorCode, ErrorData,
    GetPromptRequestParams, GetPromptResponse, Implementation, InitializeResult, ListPromptsResult,
    ListResourceTemplatesResult, ListResourcesResult, ListToolsResult, PaginatedRequestParams,
    ProgressNotificationParam, ProgressToken, ReadResourceRequestParams, ReadResourceResponse,
    ServerCapabilities, Tool, ToolAnnotations,
};
use rmcp::service::{Peer, RequestContext};
use rmcp::{RoleServer, ServerHandler, ServiceExt};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use crate::assist::{self, Answered, Assistant, Entry, Failure, Work};

/// A question may take so long, the wait for others included.
const TIMEOUT: Duration = Duration::from_secs(120);
/// How often somebody who waits is told that it goes on.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// An error is told in at most so many bytes.
const LONGEST_ERROR: usize = 8 << 10;

const INSTRUCTIONS: &str = "Performance telemetry of Linux machines by rezolus: recordings, logs that are being \
written, and live agents. Begin with describe_recording (which inputs there are, their spans). What happened: \
diagnose for faults that have a name, detect_anomalies, then find_cause with the span of a finding; summarize for the health of each resource, compare for two \
recordings or spans, analyze_correlation for two queries. For numbers describe_metrics (names, units, meanings), then \
query, in PromQL. A metric that describe_metrics does not list was not measured: status tells why. Cite the query and the span with every number, and do not guess what is not in the data.";

/// What is served, the same for every client.
#[derive(Clone)]
pub struct Server {
    assistant: Arc<Assistant>,
    runner: Arc<Runner>,
}

impl Server {
    pub fn new(assistant: Arc<Assistant>) -> Self {
        // Each evaluates on all CPUs by itself where that is worth it.
        let at_a_time = std::thread::available_parallelism().map_or(2, usize::from);
        Self { assistant, runner: Arc::new(Runner::new(at_a_time)) }
    }

    /// Serves one client on standard input and output, until it closes them or `stop` changes.
    ///
    /// # Errors
    ///
    /// When the client does not begin as the protocol wants, or a message is longer than the protocol's library takes.
    pub async fn serve_stdio(self, mut stop: watch::Receiver<bool>) -> Result<(), String> {
        let begin = self.serve(rmcp::transport::io::stdio_pipes());
        let service = tokio::select! {
            begun = begin => match begun {
                Ok(service) => service,
                // A client that leaves before it says anything has changed its mind.
                Err(rmcp::service::ServerInitializeError::ConnectionClosed(_)) => return Ok(()),
                Err(error) => return Err(error.to_string()),
            },
            _ = stop.changed() => return Ok(()),
        };
        let ended = service.cancellation_token();
        tokio::select! {
            quit = service.waiting() => quit.map(drop).map_err(|error| error.to_string()),
            _ = stop.changed() => {
                ended.cancel();
                Ok(())
            }
        }
    }

    /// Does what may block or take long on a thread of its own, and tells the client that it goes on, if it asked to be told.
    async fn work<T: Send + 'static>(
        &self,
        context: &RequestContext<RoleServer>,
        work: impl FnOnce(&Assistant, &Work) -> Result<T, Failure> + Send + 'static,
    ) -> Result<Result<T, Failure>, ErrorData> {
        let deadline = Instant::now() + TIMEOUT;
        let assistant = self.assistant.clone();
        let (says, mut said) = watch::channel(String::new());
        let run = self.runner.run(Some(deadline), move |flag| {
            let work_of = Work::new(flag, Some(deadline), move |what| {
                let _ = says.send(what.into());
            });
            Ok(work(&assistant, &work_of))
        });
        tokio::pin!(run);
        let token = context.meta.get_progress_token();
        let mut progress = 0.0;
        let mut heartbeat = tokio::time::interval(HEARTBEAT);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                // Dropping what runs has it stop at the next look at its flag.
                () = context.ct.cancelled() => {
                    return Err(ErrorData::new(ErrorCode::INTERNAL_ERROR, "canceled", None));
                }
                done = &mut run => return Ok(match done {
                    Ok(result) => result,
                    Err(error) => Err(Failure::data(error.message)),
                }),
                _ = heartbeat.tick() => {}
                Ok(()) = said.changed() => {}
            }
            if let Some(token) = &token {
                let message = said.borrow_and_update().clone();
                // Whoever reads nothing has to be no reason to wait.
                let _ =
                    tokio::time::timeout(HEARTBEAT, tell(&context.peer, token, &mut progress, message)).await;
            }
        }
    }

    async fn call(
        &self,
        tool: &'static Entry,
        request: CallToolRequestParams,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResult, ErrorData> {
        let arguments = request.arguments.unwrap_or_default();
        let answer = self.work(context, move |assistant, work| tool.run(assistant, arguments, work)).await?;
        Ok(match answer {
            Ok(Answered { text, structured }) => {
                let mut result = CallToolResult::success(vec![ContentBlock::text(text)]);
                result.structured_content = Some(structured);
                result
            }
            Err(failure) => {
                CallToolResult::error(vec![ContentBlock::text(within(failure.message, LONGEST_ERROR))])
            }
        })
    }
}

/// Says that it goes on. How much is still to be done is not known.
async fn tell(peer: &Peer<RoleServer>, token: &ProgressToken, progress: &mut f64, message: String) {
    *progress += 1.0;
    let said = ProgressNotificationParam::new(token.clone(), *progress);
    let said = if message.is_empty() { said } else { said.with_message(message) };
    let _ = peer.notify_progress(said).await;
}

/// A text of at most so many bytes; what is cut off is said.
fn within(mut text: String, most: usize) -> String {
    if text.len() > most {
        let end = (0..=most).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        let rest = text.len() - end;
        text.truncate(end);
        text += &format!("\n... {rest} bytes more are left out");
    }
    text
}

/// The tools as they are listed; schemas take a moment, and are the same for all.
fn tools() -> &'static [Tool] {
    static TOOLS: OnceLock<Vec<Tool>> = OnceLock::new();
    TOOLS.get_or_init(|| {
        let listed = |tool: &Entry| {
            let annotations = ToolAnnotations::from_raw(
                Some(tool.title.into()),
                Some(true),
                Some(false),
                Some(true),
                // What can be asked was said when the server was started.
                Some(false),
            );
            Tool::new(tool.name, tool.about, Arc::new((tool.input)()))
                .with_title(tool.title)
                .with_raw_output_schema(Arc::new((tool.output)()))
                .with_annotations(annotations)
        };
        assist::TOOLS.iter().map(listed).collect()
    })
}

impl ServerHandler for Server {
    fn get_info(&self) -> InitializeResult {
        let capabilities =
            ServerCapabilities::builder().enable_tools().enable_resources().enable_prompts().build();
        let name = Implementation::new("rezolus", env!("CARGO_PKG_VERSION")).with_title("Rezolus");
        InitializeResult::new(capabilities).with_server_info(name).with_instructions(INSTRUCTIONS)
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(tools().to_vec()))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        tools().iter().find(|tool| tool.name == name).cloned()
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let Some(tool) = assist::tool(&request.name) else {
            let names: Vec<&str> = assist::TOOLS.iter().map(|tool| tool.name).collect();
            let why = format!("there is no tool {:?}; there are {}", request.name, names.join(", "));
            return Err(ErrorData::invalid_params(within(why, LONGEST_ERROR), None));
        };
        Ok(self.call(tool, request, &context).await?.into())
    }

    async fn list_resources(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let from = resources::place(request)?;
        let listed = self.work(&context, move |assistant, _| Ok(resources::list(assistant, from))).await?;
        let mut result = listed.map_err(|failure| ErrorData::internal_error(failure.message, None))?;
        // What is there changes, and is nobody else's business.
        result.ttl_ms = Some(0);
        result.cache_scope = Some(CacheScope::Private);
        Ok(result)
    }

    async fn list_resource_templates(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        Ok(ListResourceTemplatesResult::with_all_items(resources::templates()))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let uri = request.uri;
        let read = self.work(&context, move |assistant, work| resources::read(assistant, &uri, work)).await?;
        let refuse = |failure: Failure| {
            ErrorData::resource_not_found(Cow::Owned(within(failure.message, LONGEST_ERROR)), None)
        };
        Ok(read.map_err(refuse)?.with_ttl_ms(0).with_cache_scope(CacheScope::Private).into())
    }

    async fn list_prompts(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        Ok(ListPromptsResult::with_all_items(prompts::list()))
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        let arguments = request.arguments.unwrap_or_default();
        let prompt = prompts::get(&request.name, &arguments);
        Ok(prompt.map_err(|why| ErrorData::invalid_params(within(why, LONGEST_ERROR), None))?.into())
    }
}
