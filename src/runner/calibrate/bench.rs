//! One run of a reviewer on this machine: the volumes of a pod in a temporary folder, the companion of a pod, and an
//! operator that only takes the review.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{Json, Router, extract::State, routing::post};
use jiff::Timestamp;
use tokio::{net::TcpListener, process::Command};

use super::{
    CalibrateArgs,
    set::{Case, Set},
};
use crate::{
    api::{
        agent_task::{Brief, ReviewBrief, Role, TaskBase},
        evidence::Finding,
    },
    git::command::CommandError,
    runner::{
        Places, PodArgs,
        brief::MCP_URL,
        companion::{Companion, CompanionError, Ended},
        prepare::{self, PrepareError},
        protocol::{Accepted, AssignedPhase, Assignment, ReviewReport},
        repository::PodRepository,
    },
};

/// Seconds that a command has to end once it is told to.
const GRACE: u32 = 5;

/// Why a run could not be made. A reviewer that ends badly is no such reason.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// A temporary folder.
    #[error("failed to set up a temporary folder: {0}")]
    Folder(io::Error),
    /// The set's repository.
    #[error("failed to fetch the commit from the set's repository: {0}")]
    Fetch(CommandError),
    /// The work tree and the brief.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// The port.
    #[error("failed to listen on port {port}: {source}; end what uses it, or name another with --port")]
    Listen {
        /// The port.
        port: u16,
        /// Why.
        source: io::Error,
    },
    /// The companion.
    #[error(transparent)]
    Companion(#[from] CompanionError),
    /// Our own executable.
    #[error("failed to start the command: {0}")]
    Start(io::Error),
}

/// How a run ended.
pub(super) struct Outcome {
    /// What was found; none without a review.
    pub(super) findings: Option<Vec<Finding>>,
    /// In words.
    pub(super) ended: String,
    /// Last lines of the output.
    pub(super) tail: String,
}

/// What every run has in common.
pub(super) struct Bench<'a> {
    args: &'a CalibrateArgs,
    set: &'a Set,
}

/// The operator's memory: the one review.
type Reviews = Arc<Mutex<Option<ReviewReport>>>;

impl<'a> Bench<'a> {
    pub(super) fn new(args: &'a CalibrateArgs, set: &'a Set) -> Self {
        Self { args, set }
    }

    /// Lets the reviewer see one case.
    pub(super) async fn run(&self, index: usize, number: u32) -> Result<Outcome, BenchError> {
        let folder = tempfile::Builder::new().prefix("phasegate-calibrate-").tempdir().map_err(BenchError::Folder)?;
        let places = places(folder.path()).map_err(BenchError::Folder)?;
        let reviews = Reviews::default();
        let operator_url = operator(Arc::clone(&reviews)).await.map_err(BenchError::Folder)?;
        let assignment = assignment(self.set, index);
        let pod = PodArgs {
            namespace: "calibration".to_owned(),
            task: assignment.agent_task.clone(),
            run: assignment.run,
            pod_uid: String::new(),
            operator_url,
            git_url: "http://127.0.0.1:9".to_owned(),
            save_seconds: crate::runner::SAVE_SECONDS,
            correlation_id: String::new(),
        };
        self.lay_out(&pod, &places, &assignment, &self.set.cases[index]).await?;
        let companion = Arc::new(Companion::new(&pod, &places)?);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.args.port));
        let listen = |source| BenchError::Listen { port: self.args.port, source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let mut agent = self.command(&places, number)?.spawn().map_err(BenchError::Start)?;
        let ended = companion.serve_tools(listener, async move { drop(agent.wait().await) }).await;
        let review = reviews.lock().unwrap_or_else(PoisonError::into_inner).take();
        Ok(outcome(review, ended))
    }

    async fn lay_out(
        &self,
        pod: &PodArgs,
        places: &Places,
        assignment: &Assignment,
        case: &Case,
    ) -> Result<(), BenchError> {
        let repository = PodRepository::new(pod, &places.git, &assignment.clone_path, &places.token);
        repository.init().await.map_err(BenchError::Fetch)?;
        repository.fetch_local(&self.set.repository, &case.commit).await.map_err(BenchError::Fetch)?;
        prepare::lay_out(places, &repository, assignment, &case.commit).await?;
        let written = [&places.brief, &places.home];
        if self.args.port != 4000 {
            for folder in written {
                move_port(folder, &self.mcp_url()).map_err(BenchError::Folder)?;
            }
        }
        Ok(())
    }

    fn mcp_url(&self) -> String {
        format!("http://localhost:{}/mcp", self.args.port)
    }

    /// The command, seen to its end by `step` as in a pod.
    fn command(&self, places: &Places, number: u32) -> Result<Command, BenchError> {
        let mut command = Command::new(std::env::current_exe().map_err(BenchError::Start)?);
        command
            .args(["runner", "step", "--timeout", &self.args.timeout.as_secs().max(1).to_string()])
            .args(["--grace", &GRACE.to_string(), "--out"])
            .arg(&places.out)
            .arg("--")
            .args(&self.args.command)
            .current_dir(&places.workspace)
            .env("PHASEGATE_BRIEF", places.brief.join("task.json"))
            .env("PHASEGATE_MCP_URL", self.mcp_url())
            .env("PHASEGATE_CALIBRATION_RUN", number.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        if !self.args.keep_home {
            command.env("HOME", &places.home);
        }
        Ok(command)
    }
}

fn outcome(review: Option<ReviewReport>, ended: Ended) -> Outcome {
    let Ended { record, tail } = ended;
    let ended = match record {
        Some(record) if record.timed_out => "it passed its timeout".to_owned(),
        Some(record) if !record.message.is_empty() => record.message,
        Some(record) => format!("it ended with exit code {}", record.exit_code),
        None => "nobody saw how it ended".to_owned(),
    };
    Outcome { findings: review.map(|review| review.findings), ended, tail }
}

/// The volumes of a pod.
fn places(folder: &Path) -> io::Result<Places> {
    let places = Places::below(folder)?;
    // Nobody asks for it: there is no operator and no git service to convince.
    std::fs::write(&places.token, "calibration")?;
    Ok(places)
}

/// What a reviewer of a phase would be told. The name of the case would tell too much.
fn assignment(set: &Set, index: usize) -> Assignment {
    let case = &set.cases[index];
    Assignment {
        agent_task: "reviewer".to_owned(),
        uid: "calibration".to_owned(),
        run: 1,
        role: Role::Reviewer,
        created_at: Timestamp::UNIX_EPOCH,
        phase: Some(AssignedPhase {
            name: format!("case-{}", index + 1),
            attempt: 1,
            number: None,
            hotfix: String::new(),
            version: String::new(),
        }),
        task: "reviewer".to_owned(),
        repository: "repository".to_owned(),
        clone_path: "/repository.git".to_owned(),
        commit: Some(case.commit.clone()),
        branch: None,
        brief: Some(Brief {
            objective: set.objective.clone(),
            description: "Review what the phase changed, and file what is wrong with it.".to_owned(),
            instructions: String::new(),
            criteria: Vec::new(),
            focus: set.focus.clone(),
            checks: Vec::new(),
            findings: Vec::new(),
            reasons: Vec::new(),
        }),
        conflict: None,
        merged: None,
        check: None,
        base: Some(TaskBase { commit: case.base.clone(), evidence: None, protected_paths: Vec::new() }),
        review: Some(ReviewBrief {
            categories: set.categories.clone(),
            criteria: Vec::new(),
            previous: Vec::new(),
            answers: Vec::new(),
        }),
        upstream: None,
        push: None,
        last_failure: String::new(),
        resume: None,
        resumed: None,
    }
}

/// What we wrote names the address of a pod; here it may be another.
fn move_port(folder: &Path, url: &str) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            move_port(&path, url)?;
        } else if path.extension().is_none_or(|end| end != "patch") {
            let text = std::fs::read_to_string(&path)?;
            std::fs::write(&path, text.replace(MCP_URL, url))?;
        }
    }
    Ok(())
}

/// An operator that takes one review and nothing else.
async fn operator(reviews: Reviews) -> io::Result<String> {
    let take = async |State(reviews): State<Reviews>, Json(review): Json<ReviewReport>| {
        reviews.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(review);
        Json(Accepted { recorded: true })
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let path = "/runner/v1/namespaces/{namespace}/tasks/{task}/review";
    let app = Router::new().route(path, post(take)).with_state(reviews);
    // It ends with its run: nothing is asked of it later, and a process of ours has few of them.
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(format!("http://{address}"))
}
