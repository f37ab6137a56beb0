//! What agents may call, and what becomes of it.

use axum::{body::Body, extract::connect_info::MockConnectInfo, http::Request};
use rstest::rstest;
use serde_json::json;
use tower::ServiceExt as _;

use super::*;
use crate::runner::{replay, world::git};

const BRANCH: &str = "refs/heads/bugfix/phase-1-review-2";

fn answers() -> Value {
    json!([{"finding": "a1", "answer": "Fixed"}, {"finding": "b2", "answer": "disputed", "note": "the assert is a test's"}])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_developer_reads_its_task_plans_reports_and_submits_once() {
    let pod = Pod::new(Role::Developer).await;
    let agent = pod.agent().await;
    let mut tools: Vec<String> =
        agent.0.list_all_tools().await.unwrap().into_iter().map(|tool| tool.name.into_owned()).collect();
    tools.sort();
    assert_eq!(tools, ["get_assignment", "report_plan", "report_progress", "submit_work"]);
    let task = agent.accepted("get_assignment", json!({})).await;
    assert_eq!((&task["phase"], &task["findings"][0]["id"]), (&"alicia-1".into(), &"a1".into()));
    agent.accepted("report_plan", json!({"steps": ["mend", "test"]})).await;
    agent.accepted("report_progress", json!({"percent": 50, "message": "half"})).await;
    pod.world.write("greet.py", "print('hi')\n");
    let done = agent.accepted("submit_work", json!({"summary": "mended", "answers": answers()})).await;
    let commit = done["commit"].as_str().unwrap().to_owned();
    assert_eq!(done["accepted"], true);
    assert_eq!(pod.world.head(BRANCH), commit);
    // Later changes are not taken, and a second submission says which one counts.
    pod.world.write("greet.py", "print('later')\n");
    let again = agent.accepted("submit_work", json!({"summary": "again", "answers": answers()})).await;
    assert_eq!((&again["commit"], &again["accepted"]), (&commit.clone().into(), &false.into()));
    pod.world.ended(1, "crashed after all");
    let world = pod.end().await;
    assert_eq!(world.head(BRANCH), commit);
    assert_eq!(world.file(&commit, "greet.py"), "print('hi')\n");
    let parent = git(&world.bare(), &["rev-parse", &format!("{commit}^")]);
    assert_eq!(parent.trim(), world.assignment().commit.unwrap());
    let submission = &world.operator.told("submission")[0];
    assert_eq!(submission["answers"][1]["answer"], "Disputed");
    let delivery = world.operator.delivery();
    assert_eq!((delivery.changed, delivery.commit, delivery.exit_code), (true, None, Some(1)));
    let told = world.operator.calls();
    assert!(told.iter().all(|call| call.run == "2" && call.token == "Bearer pod-token"), "{told:?}");
    assert_eq!(world.operator.told("plan"), [json!({"steps": ["mend", "test"]})]);
    assert_eq!(world.operator.told("progress"), [json!({"percent": 50, "message": "half"})]);
}

#[rstest]
#[case::no_answers(json!([]), "2 findings have no answer (a1, b2)")]
#[case::one_missing(json!([{"finding": "b2", "answer": "Fixed"}]), "1 findings have no answer (a1)")]
#[case::unknown(json!([{"finding": "zz", "answer": "Fixed"}]), "there is no finding \"zz\"")]
#[case::twice(json!([{"finding": "a1", "answer": "Fixed"}, {"finding": "a1", "answer": "Fixed"}]), "answered twice")]
#[case::disputed_without_a_note(json!([{"finding": "a1", "answer": "Disputed"}]), "disputed without a note")]
#[tokio::test(flavor = "multi_thread")]
async fn a_rework_answers_every_finding_once(#[case] answers: Value, #[case] why: &str) {
    let pod = Pod::new(Role::Developer).await;
    pod.world.write("greet.py", "print('hi')\n");
    let said = pod.agent().await.refused("submit_work", json!({"summary": "s", "answers": answers})).await;
    assert!(said.contains(why), "{said}");
    assert_eq!(pod.world.head(BRANCH), "");
    assert!(pod.world.operator.told("submission").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_untouched_tree_is_not_submitted_unless_every_finding_is_disputed() {
    let pod = Pod::new(Role::Developer).await;
    let agent = pod.agent().await;
    let said = agent.refused("submit_work", json!({"summary": "s", "answers": answers()})).await;
    assert!(said.contains("the same as at the start"), "{said}");
    let disputed = json!([{"finding": "a1", "answer": "Disputed", "note": "n"}, {"finding": "b2", "answer": "Disputed", "note": "n"}]);
    agent.accepted("submit_work", json!({"summary": "all wrong", "answers": disputed})).await;
    assert_eq!(pod.world.operator.told("submission").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_submission_survives_an_operator_that_is_away_for_a_moment() {
    let pod = Pod::new(Role::Developer).await;
    let agent = pod.agent().await;
    pod.world.write("greet.py", "print('hi')\n");
    pod.world.operator.unavailable.store(3, std::sync::atomic::Ordering::SeqCst);
    agent.accepted("submit_work", json!({"summary": "s", "answers": answers()})).await;
    assert_eq!(pod.world.operator.told("submission").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_companion_that_started_again_learns_which_submission_counts() {
    let pod = Pod::new(Role::Developer).await;
    pod.world.write("greet.py", "print('hi')\n");
    let submit = json!({"summary": "s", "answers": answers()});
    let first = pod.agent().await.accepted("submit_work", submit.clone()).await;
    pod.serving.abort();
    let again = Pod::of_prepared(pod.world).await;
    again.world.write("greet.py", "print('other')\n");
    let second = again.agent().await.accepted("submit_work", submit).await;
    assert_eq!((&second["commit"], &second["accepted"]), (&first["commit"], &false.into()));
}

#[rstest]
#[case::too_many("report_plan", json!({"steps": vec!["s"; 51]}), "1 to 50")]
#[case::none("report_plan", json!({"steps": [" "]}), "1 to 50")]
#[case::over("report_progress", json!({"percent": 101}), "0 to 100")]
#[case::under("report_progress", json!({"percent": -1}), "0 to 100")]
#[tokio::test(flavor = "multi_thread")]
async fn reports_out_of_bounds_are_refused_in_words(
    #[case] tool: &'static str,
    #[case] arguments: Value,
    #[case] why: &str,
) {
    let pod = Pod::new(Role::Developer).await;
    let said = pod.agent().await.refused(tool, arguments).await;
    assert!(said.contains(why), "{said}");
    assert!(pod.world.operator.calls().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_other_tool_is_refused_and_a_check_has_none() {
    let developer = Pod::new(Role::Developer).await;
    let check = Pod::new(Role::Check).await;
    assert!(check.agent().await.0.list_all_tools().await.unwrap().is_empty());
    for (pod, tools) in
        [(&developer, vec!["file_findings", "approve", ""]), (&check, vec!["get_assignment", "submit_work"])]
    {
        let agent = pod.agent().await;
        for tool in tools {
            let error = agent.0.call_tool(CallToolRequestParams::new(tool)).await.unwrap_err().to_string();
            assert!(error.contains("there is no tool"), "{tool}: {error}");
        }
    }
}

#[rstest]
#[case::another_pod("10.1.2.3:999", "localhost:4000", None, 403)]
#[case::a_name_that_was_rebound("127.0.0.1:999", "evil.example.com", None, 403)]
#[case::a_page_of_somebody_else("127.0.0.1:999", "localhost:4000", Some("https://evil.example.com"), 403)]
#[case::this_pod("127.0.0.1:999", "localhost:4000", None, 200)]
#[case::this_pod_by_ipv6("[::ffff:127.0.0.1]:999", "localhost:4000", Some("http://localhost:8080"), 200)]
#[tokio::test]
async fn mcp_is_for_this_pods_processes(
    #[case] peer: &str,
    #[case] host: &str,
    #[case] origin: Option<&str>,
    #[case] status: u16,
) {
    let world = World::new(Role::Developer).await;
    prepare::set_up(&world.args, &world.places, &world.assignment()).await.unwrap();
    let companion = Arc::new(Companion::new(&world.args, &world.places).unwrap());
    let app = super::super::http::app(companion).layer(MockConnectInfo(peer.parse::<SocketAddr>().unwrap()));
    let mut request = Request::post("/mcp")
        .header("host", host)
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream");
    if let Some(origin) = origin {
        request = request.header("origin", origin);
    }
    let initialize = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}});
    let response = app.clone().oneshot(request.body(Body::from(initialize.to_string())).unwrap()).await.unwrap();
    assert_eq!(response.status().as_u16(), status);
    // The kubelet asks from the node, by the pod's address.
    let probe = Request::get("/healthz").header("host", "10.0.0.7:4000").body(Body::empty()).unwrap();
    assert_eq!(app.oneshot(probe).await.unwrap().status().as_u16(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_scripted_agent_applies_its_patch_and_submits() {
    let pod = Pod::new(Role::Developer).await;
    let patches = pod.world.dir().join("patches");
    std::fs::create_dir(&patches).unwrap();
    let args = replay::ReplayArgs {
        patches: patches.clone(),
        brief: pod.world.places.brief.join("task.json"),
        mcp_url: pod.mcp_url(),
        workspace: pod.world.places.workspace.clone(),
    };
    let error = replay::run(args.clone()).await.unwrap_err().to_string();
    assert!(error.contains("no patch alicia-1.rework.2.patch"), "{error}");
    let patch = "--- a/greet.py\n+++ b/greet.py\n@@ -1 +1 @@\n-print('hello')\n+print('patched')\n";
    std::fs::write(patches.join("alicia-1.rework.2.patch"), patch).unwrap();
    replay::run(args).await.unwrap();
    pod.world.ended(0, "done");
    let world = pod.end().await;
    let commit = world.head(BRANCH);
    assert_eq!(world.file(&commit, "greet.py"), "print('patched')\n");
    assert_eq!(world.operator.told("submission")[0]["commit"], commit);
    assert_eq!(world.operator.told("submission")[0]["answers"][0]["answer"], "Fixed");
    assert_eq!(world.operator.told("plan").len(), 1);
}
