//! The MCP server: the tools of a developer are here, those of a reviewer in `review::tools`. Every other role has none,
//! and every other tool is refused by name.
//!
//! Arguments are checked here, in words for a model: what is wrong and what to do instead.

use std::{collections::HashSet, sync::Arc, time::Duration};

use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    handler::server::{router::tool::ToolRouter, tool::ToolCallContext, wrapper::Parameters},
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, Implementation, ListToolsResult,
        PaginatedRequestParams, ServerCapabilities, ServerConfig,
    },
    service::RequestContext,
    tool, tool_router,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::{
    super::{
        brief::TaskFile,
        protocol::{MAX_LINE, MAX_NOTE, MAX_STEPS, PlanReport, ProgressReport},
    },
    Companion, review,
};
use crate::{
    api::agent_task::{FindingAnswer, FindingAnswerKind, Role},
    text::cut,
};

/// Longest time for a report while the agent waits.
const REPORT: Duration = Duration::from_secs(10);

const INSTRUCTIONS: &str = "You work on one task in the work tree of this pod. Call get_assignment first, report_plan before you start, report_progress as you go, and submit_work once when the work is done: it takes the work tree as it is.";

/// Arguments of `report_plan`.
#[derive(Debug, Deserialize, JsonSchema)]
struct PlanArgs {
    /// What you mean to do, one short sentence each, in order; at most 50.
    steps: Vec<String>,
}

/// Arguments of `report_progress`.
#[derive(Debug, Deserialize, JsonSchema)]
struct ProgressArgs {
    /// How far you are, 0 to 100.
    percent: i32,
    /// What you are doing, in a few words.
    #[serde(default)]
    message: String,
}

/// Arguments of `submit_work`.
#[derive(Debug, Deserialize, JsonSchema)]
struct SubmitArgs {
    /// What was done, in a few sentences.
    summary: String,
    /// One answer for each finding of the assignment; empty if it has none.
    #[serde(default)]
    answers: Vec<AnswerArgs>,
}

/// What you say of one finding.
#[derive(Debug, Deserialize, JsonSchema)]
struct AnswerArgs {
    /// Id of the finding.
    finding: String,
    /// Fixed, or Disputed.
    answer: Kind,
    /// Why; required for Disputed.
    #[serde(default)]
    note: String,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
enum Kind {
    #[serde(alias = "fixed")]
    Fixed,
    #[serde(alias = "disputed")]
    Disputed,
}

/// The server.
#[derive(Clone)]
pub(super) struct Tools {
    pub(super) companion: Arc<Companion>,
    router: ToolRouter<Self>,
}

#[tool_router]
impl Tools {
    pub(super) fn new(companion: Arc<Companion>) -> Self {
        let router = match companion.assignment.role {
            Role::Developer => Self::tool_router(),
            Role::Reviewer => Self::reviewer_tools(),
            Role::Check | Role::Sync => ToolRouter::new(),
        };
        Self { companion, router }
    }

    /// What to do, what must be true at the end, the checks that will be run, and the findings to answer.
    #[tool(name = "get_assignment", annotations(title = "Get the assignment", read_only_hint = true))]
    async fn get_assignment(&self) -> CallToolResult {
        CallToolResult::structured(json!(TaskFile::of(&self.companion.assignment)))
    }

    /// Report what you mean to do, before you start. A new plan replaces the last.
    #[tool(
        name = "report_plan",
        annotations(title = "Report the plan", read_only_hint = false, idempotent_hint = true)
    )]
    async fn report_plan(&self, Parameters(args): Parameters<PlanArgs>) -> CallToolResult {
        let steps: Vec<String> =
            args.steps.iter().map(|step| cut(step.trim(), MAX_LINE)).filter(|step| !step.is_empty()).collect();
        if steps.is_empty() || steps.len() > MAX_STEPS {
            return refused(&format!("steps must hold 1 to {MAX_STEPS} sentences; it holds {}", steps.len()));
        }
        answer(self.companion.client.plan(&PlanReport { steps }, REPORT).await.map(|done| json!(done)))
    }

    /// Report how far you are. People watch this; nothing depends on it.
    #[tool(
        name = "report_progress",
        annotations(title = "Report progress", read_only_hint = false, idempotent_hint = true)
    )]
    async fn report_progress(&self, Parameters(args): Parameters<ProgressArgs>) -> CallToolResult {
        if !(0..=100).contains(&args.percent) {
            return refused(&format!("percent must be 0 to 100; it is {}", args.percent));
        }
        let report = ProgressReport { percent: args.percent, message: cut(args.message.trim(), MAX_LINE) };
        answer(self.companion.client.progress(&report, REPORT).await.map(|done| json!(done)))
    }

    /// Hand in the work tree as it is. The first submission counts and ends the task; later calls change nothing.
    #[tool(
        name = "submit_work",
        annotations(title = "Submit the work", read_only_hint = false, idempotent_hint = true)
    )]
    async fn submit_work(&self, Parameters(args): Parameters<SubmitArgs>) -> CallToolResult {
        let answers = match self.answers(args.answers) {
            Ok(answers) => answers,
            Err(why) => return refused(&why),
        };
        // A task of its own: an agent that hangs up must not leave a submission half done.
        let companion = Arc::clone(&self.companion);
        let submission = tokio::spawn(async move { companion.submit(&args.summary, answers).await });
        match submission.await {
            Ok(Ok(done)) => CallToolResult::structured(json!({
                "commit": done.commit,
                "accepted": !done.before,
                "message": if done.before {
                    "this task was submitted before; the first submission counts, and this call changed nothing"
                } else {
                    "submitted; the task is done, and later changes are not taken"
                },
            })),
            Ok(Err(error)) => refused(&error.to_string()),
            Err(error) => refused(&format!("failed to submit: {error}; submit again")),
        }
    }
}

impl Tools {
    /// One answer for each open finding, and no others.
    fn answers(&self, given: Vec<AnswerArgs>) -> Result<Vec<FindingAnswer>, String> {
        let findings = self.companion.assignment.brief.iter().flat_map(|brief| &brief.findings);
        let mut open: Vec<&str> = findings.map(|finding| finding.id.as_str()).collect();
        let known: HashSet<&str> = open.iter().copied().collect();
        let mut answers = Vec::new();
        for AnswerArgs { finding, answer, note } in given {
            let id = finding.trim();
            if !known.contains(id) {
                return Err(format!("there is no finding {:?}; call get_assignment for their ids", cut(id, 80)));
            }
            if !open.contains(&id) {
                return Err(format!("finding {id} is answered twice; answer each once"));
            }
            open.retain(|other| *other != id);
            let note = cut(note.trim(), MAX_NOTE);
            let answer = match answer {
                Kind::Fixed => FindingAnswerKind::Fixed,
                Kind::Disputed if note.is_empty() => {
                    return Err(format!("finding {id} is disputed without a note; say why it is wrong"));
                }
                Kind::Disputed => FindingAnswerKind::Disputed,
            };
            answers.push(FindingAnswer { finding: id.to_owned(), answer, note });
        }
        if open.is_empty() {
            return Ok(answers);
        }
        let some = open.iter().take(10).copied().collect::<Vec<_>>().join(", ");
        Err(format!("{} findings have no answer ({some}); answer each with Fixed, or Disputed and a note", open.len()))
    }
}

fn answer(done: Result<serde_json::Value, super::CallError>) -> CallToolResult {
    match done {
        Ok(value) => CallToolResult::structured(value),
        Err(error) => refused(&error.to_string()),
    }
}

pub(super) fn refused(why: &str) -> CallToolResult {
    CallToolResult::error(vec![ContentBlock::text(why)])
}

impl ServerHandler for Tools {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new("phasegate", env!("CARGO_PKG_VERSION")))
            .with_instructions(match self.companion.assignment.role {
                Role::Reviewer => review::tools::INSTRUCTIONS,
                Role::Developer | Role::Check | Role::Sync => INSTRUCTIONS,
            })
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(self.router.list_all()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        if !self.router.has_route(&request.name) {
            let role = self.companion.assignment.role;
            let why = format!("there is no tool {:?} for a {role:?}", cut(&request.name, 80));
            return Err(ErrorData::invalid_params(why, None));
        }
        tracing::info!(tool = %request.name, "called");
        self.router.call(ToolCallContext::new(self, request, context)).await
    }
}
