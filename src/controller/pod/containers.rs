//! The containers of a task pod.
//!
//! Order of the init containers: `prepare` ends before anything else starts; then the services of a
//! check; `companion` last, and it serves before the agent starts. Sidecars are told to end in the
//! reverse order, each once the one after it is gone (KEP-753): the companion must not wait for a
//! service that takes no signals.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{
        Capabilities, Container, ContainerPort, EnvVar, EnvVarSource, HTTPGetAction, ObjectFieldSelector, Probe,
        ResourceRequirements, SecurityContext, VolumeMount,
    },
    apimachinery::pkg::{api::resource::Quantity, util::intstr::IntOrString},
};
use kube::ResourceExt;

use super::{
    COMPANION, MAIN, PREPARE, PodConfig, STEP_GRACE_SECONDS,
    volumes::{
        BRIEF, GIT, HOME, OUT, RUNNER_TMP, TMP, TOKEN, TOOLS, UPSTREAM, WORKSPACE, credentials, mount, mount_read_only,
    },
};
use crate::api::{
    AgentTask,
    check::{Check, EnvironmentVariable, Service},
};

/// Our executable in our image.
const EXECUTABLE: &str = "/usr/local/bin/phasegate";
/// Port of the companion, the seed's `localhost:4000`.
const COMPANION_PORT: i32 = 4000;

/// Clones at the task's commit and writes the brief. The home is mounted for the configurations of
/// MCP clients that look for theirs there.
pub(super) fn prepare(task: &AgentTask, run: i32, config: &PodConfig) -> Container {
    let mounts = vec![mount(WORKSPACE), mount(TOOLS), mount(BRIEF), mount(OUT), mount(GIT), mount(HOME)];
    Container { name: PREPARE.to_owned(), ..ours("prepare", mounts, task, run, config) }
}

/// The agent's MCP server; delivers once the main container has ended. A native sidecar.
pub(super) fn companion(task: &AgentTask, run: i32, config: &PodConfig) -> Container {
    let mounts = vec![mount(WORKSPACE), mount_read_only(BRIEF), mount(OUT), mount(GIT)];
    Container {
        name: COMPANION.to_owned(),
        restart_policy: Some("Always".to_owned()),
        ports: Some(vec![ContainerPort {
            name: Some("mcp".to_owned()),
            container_port: COMPANION_PORT,
            ..ContainerPort::default()
        }]),
        startup_probe: Some(Probe {
            http_get: Some(HTTPGetAction {
                path: Some("/healthz".to_owned()),
                port: IntOrString::Int(COMPANION_PORT),
                ..HTTPGetAction::default()
            }),
            period_seconds: Some(1),
            failure_threshold: Some(60),
            ..Probe::default()
        }),
        ..ours("companion", mounts, task, run, config)
    }
}

/// Mirrors the upstream. The whole pod is ours: no agent, so the token and the upstream's credentials are safe in it.
pub(super) fn sync(task: &AgentTask, run: i32, config: &PodConfig) -> Container {
    let credentials = credentials(task).map(|_| mount_read_only(UPSTREAM));
    let mounts = std::iter::once(mount(GIT)).chain(credentials).collect();
    Container { name: MAIN.to_owned(), ..ours("sync", mounts, task, run, config) }
}

/// A container of ours: our image, our executable, the pod's identity, a read-only root.
fn ours(subcommand: &str, mut mounts: Vec<VolumeMount>, task: &AgentTask, run: i32, config: &PodConfig) -> Container {
    mounts.push(mount_read_only(TOKEN));
    mounts.push(mount(RUNNER_TMP));
    Container {
        image: Some(config.runner_image.clone()),
        image_pull_policy: Some(config.runner_image_pull_policy.clone()),
        command: Some([EXECUTABLE, "runner", subcommand].map(str::to_owned).to_vec()),
        env: Some(runner_env(task, run, config)),
        resources: Some(runner_resources()),
        security_context: Some(SecurityContext { read_only_root_filesystem: Some(true), ..restricted() }),
        // Why it failed goes into the task's message.
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        volume_mounts: Some(mounts),
        ..Container::default()
    }
}

fn runner_env(task: &AgentTask, run: i32, config: &PodConfig) -> Vec<EnvVar> {
    let mut env = vec![
        variable("PHASEGATE_NAMESPACE", &task.namespace().unwrap_or_default()),
        variable("PHASEGATE_TASK", &task.name_any()),
        variable("PHASEGATE_RUN", &run.to_string()),
        variable("PHASEGATE_OPERATOR_URL", &config.operator_url),
        variable("PHASEGATE_GIT_URL", &config.git_url),
        variable("PHASEGATE_SAVE_SECONDS", &config.save_seconds.to_string()),
        variable("PHASEGATE_CORRELATION_ID", &task.spec.correlation_id),
        variable("HOME", RUNNER_TMP.1),
    ];
    env.push(EnvVar {
        name: "PHASEGATE_POD_UID".to_owned(),
        value_from: Some(EnvVarSource {
            field_ref: Some(ObjectFieldSelector {
                field_path: "metadata.uid".to_owned(),
                ..ObjectFieldSelector::default()
            }),
            ..EnvVarSource::default()
        }),
        ..EnvVar::default()
    });
    env
}

/// Enough for git on a large repository; the requests count beside every agent, so they are small.
fn runner_resources() -> ResourceRequirements {
    let quantities = |list: &[(&str, &str)]| -> BTreeMap<String, Quantity> {
        list.iter().map(|(name, amount)| ((*name).to_owned(), Quantity((*amount).to_owned()))).collect()
    };
    ResourceRequirements {
        requests: Some(quantities(&[("cpu", "20m"), ("memory", "64Mi")])),
        limits: Some(quantities(&[("cpu", "1"), ("memory", "1Gi")])),
        ..ResourceRequirements::default()
    }
}

/// Every container, ours or not: nothing beyond an ordinary user.
fn restricted() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
        ..SecurityContext::default()
    }
}

/// The helper processes of a check. They see neither the work tree nor anything of ours.
pub(super) fn services(task: &AgentTask) -> Vec<Container> {
    let Some(check) = &task.spec.check else { return Vec::new() };
    check.services.iter().map(|service| service_container(service, task)).collect()
}

fn service_container(service: &Service, task: &AgentTask) -> Container {
    let image = service.image.clone().unwrap_or_else(|| image(task));
    Container {
        name: format!("service-{}", service.name),
        image: Some(image),
        image_pull_policy: task.spec.pod.image_pull_policy.clone(),
        command: some(service.command.iter().map(|part| literal(part)).collect()),
        args: some(service.args.iter().map(|part| literal(part)).collect()),
        env: some(service.env.iter().map(literal_variable).collect()),
        restart_policy: Some("Always".to_owned()),
        security_context: Some(restricted()),
        ..Container::default()
    }
}

/// The agent or the check: the user's image, started by our `step`.
pub(super) fn main(task: &AgentTask) -> Container {
    let profile = &task.spec.pod;
    let check = task.spec.check.as_ref();
    let mut command = step(task);
    command.extend(check.map_or_else(|| profile.command.clone(), check_command));
    Container {
        name: MAIN.to_owned(),
        image: Some(image(task)),
        image_pull_policy: profile.image_pull_policy.clone(),
        command: Some(command),
        args: some(if check.is_some() { Vec::new() } else { profile.args.clone() }),
        working_dir: Some(profile.working_dir.clone().unwrap_or_else(|| WORKSPACE.1.to_owned())),
        env: Some(main_env(task)),
        env_from: some(profile.env_from.clone()),
        resources: check.and_then(|check| check.resources.clone()).or_else(|| profile.resources.clone()),
        security_context: Some(restricted()),
        volume_mounts: Some(main_mounts(&profile.volume_mounts)),
        ..Container::default()
    }
}

fn image(task: &AgentTask) -> String {
    let image = Some(task.spec.pod.image.clone()).filter(|image| !image.is_empty());
    image.or_else(|| task.spec.check.as_ref()?.image.clone()).unwrap_or_default()
}

fn step(task: &AgentTask) -> Vec<String> {
    let mut step = vec![format!("{}/phasegate", TOOLS.1), "runner".to_owned(), "step".to_owned()];
    step.extend(["--timeout".to_owned(), task.spec.timeout.as_secs().to_string()]);
    step.extend(["--grace".to_owned(), STEP_GRACE_SECONDS.to_string()]);
    let services = task.spec.check.iter().flat_map(|check| &check.services);
    step.extend(services.flat_map(|service| ["--wait-port".to_owned(), service.port.to_string()]));
    step.push("--".to_owned());
    step
}

fn check_command(check: &Check) -> Vec<String> {
    let parts = match (&check.script, &check.command) {
        (Some(script), _) => vec!["sh".to_owned(), "-eu".to_owned(), "-c".to_owned(), script.clone()],
        (None, Some(command)) => command.clone(),
        (None, None) => Vec::new(),
    };
    parts.iter().map(|part| literal(part)).collect()
}

/// The environment of the main container: ours first, so that a profile's can refer to it, and in
/// place of a profile's of the same name.
fn main_env(task: &AgentTask) -> Vec<EnvVar> {
    let mut env = vec![
        variable("PHASEGATE_BRIEF", &format!("{}/task.json", BRIEF.1)),
        variable("PHASEGATE_MCP_URL", &format!("http://localhost:{COMPANION_PORT}/mcp")),
        variable("HOME", HOME.1),
    ];
    let theirs = task.spec.pod.env.iter().cloned();
    let check = task.spec.check.iter().flat_map(|check| &check.env).map(literal_variable);
    let theirs: Vec<EnvVar> =
        theirs.chain(check).filter(|theirs| env.iter().all(|ours| ours.name != theirs.name)).collect();
    env.extend(theirs);
    env
}

/// Ours, and the profile's. A profile may bring its own `/tmp`.
fn main_mounts(theirs: &[VolumeMount]) -> Vec<VolumeMount> {
    let mut mounts =
        vec![mount(WORKSPACE), mount_read_only(TOOLS), mount_read_only(BRIEF), mount(OUT), mount(HOME), mount(TMP)];
    mounts.retain(|ours| theirs.iter().all(|theirs| theirs.mount_path.trim_end_matches('/') != ours.mount_path));
    mounts.extend(theirs.iter().cloned());
    mounts
}

fn variable(name: &str, value: &str) -> EnvVar {
    EnvVar { name: name.to_owned(), value: Some(value.to_owned()), value_from: None }
}

fn literal_variable(variable: &EnvironmentVariable) -> EnvVar {
    self::variable(&variable.name, &literal(&variable.value))
}

/// A text that the kubelet leaves as it is: it would otherwise expand `$(NAME)` and make one `$` of
/// two (a script's own PID).
fn literal(text: &str) -> String {
    text.replace('$', "$$")
}

fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    Some(list).filter(|list| !list.is_empty())
}
