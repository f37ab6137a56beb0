//! Who may do what by RBAC: the least that works, and roles for people.

use crate::support::{ApiServer, GIT, OPERATOR, User};

const LEAD: User = User("lead", &[]);
const VIEWER: User = User("somebody", &["viewers"]);
const WAIVER: User = User("waiver", &[]);
const TASK: User = User("system:serviceaccount:alicia:phasegate-task", &[]);

/// What `kubectl auth can-i` says: verb, resource and namespace.
fn can(server: &ApiServer, who: User, what: &str) -> bool {
    let groups = who.1.iter().fold(String::new(), |all, group| all + " --as-group " + group);
    server.shell(&format!("kubectl auth can-i --as {}{groups} {what} 2>/dev/null || true", who.0)).trim() == "yes"
}

#[tokio::test]
#[ignore = "starts an API server: make test"]
async fn everyone_may_do_what_their_part_needs_and_nothing_else() {
    let server = ApiServer::with_chart().await;
    let rows = [
        (OPERATOR, "watch jobs -A", true),
        (OPERATOR, "create jobs -n alicia", true),
        (OPERATOR, "create jobs -n default", false),
        (OPERATOR, "create jobs -n phasegate", false),
        (OPERATOR, "update phases.phasegate.dev/status -A", false),
        (OPERATOR, "patch phases.phasegate.dev --subresource status -A", true),
        (OPERATOR, "patch phases.phasegate.dev -n alicia", false),
        (OPERATOR, "approve phases.phasegate.dev -n alicia", false),
        (OPERATOR, "waive phases.phasegate.dev -n alicia", false),
        (OPERATOR, "get secrets -A", false),
        (OPERATOR, "get configmaps -A", false),
        (OPERATOR, "create pods -n alicia", false),
        (OPERATOR, "create pods --subresource exec -n alicia", false),
        (OPERATOR, "create leases.coordination.k8s.io -n phasegate", true),
        (OPERATOR, "create leases.coordination.k8s.io -n alicia", false),
        (OPERATOR, "create tokenreviews.authentication.k8s.io", true),
        (GIT, "get agenttasks.phasegate.dev -A", true),
        // Which reports are still needed.
        (GIT, "list agenttasks.phasegate.dev -A", true),
        (GIT, "create tokenreviews.authentication.k8s.io", true),
        (GIT, "create subjectaccessreviews.authorization.k8s.io", true),
        (GIT, "get repositories.phasegate.dev -A", false),
        (GIT, "get secrets -n phasegate", false),
        (LEAD, "push repositories.phasegate.dev -n alicia", true),
        (LEAD, "push repositories.phasegate.dev -n default", false),
        (VIEWER, "get repositories.phasegate.dev -n alicia", true),
        (VIEWER, "push repositories.phasegate.dev -n alicia", false),
        (VIEWER, "create pods/phasegate-git-0 --subresource portforward -n phasegate", true),
        (LEAD, "create pods/phasegate-git-0 --subresource portforward -n phasegate", true),
        (LEAD, "create pods/phasegate-0 --subresource portforward -n phasegate", false),
        (TASK, "get agenttasks.phasegate.dev -n alicia", false),
        (TASK, "get pods -n alicia", false),
        (LEAD, "approve phases.phasegate.dev -n alicia", true),
        (LEAD, "approve phases.phasegate.dev -n default", false),
        (LEAD, "rollback phases.phasegate.dev -n alicia", true),
        (LEAD, "rollback phases.phasegate.dev -n default", false),
        (OPERATOR, "rollback phases.phasegate.dev -n alicia", false),
        (WAIVER, "rollback phases.phasegate.dev -n alicia", false),
        (VIEWER, "rollback phases.phasegate.dev -n alicia", false),
        // Who leads does not let through what the gate refuses, and who may do that does not approve.
        (LEAD, "waive phases.phasegate.dev -n alicia", false),
        (WAIVER, "waive phases.phasegate.dev -n alicia", true),
        (WAIVER, "waive phases.phasegate.dev -n default", false),
        (WAIVER, "create decisions.phasegate.dev -n alicia", true),
        (WAIVER, "list reviewresults.phasegate.dev -n alicia", true),
        (WAIVER, "approve phases.phasegate.dev -n alicia", false),
        (WAIVER, "patch phases.phasegate.dev -n alicia", false),
        (LEAD, "create phases.phasegate.dev -n alicia", true),
        (LEAD, "create decisions.phasegate.dev -n alicia", true),
        (LEAD, "update repositories.phasegate.dev -n alicia", false),
        (VIEWER, "list reviewresults.phasegate.dev -n alicia", true),
        (VIEWER, "create phases.phasegate.dev -n alicia", false),
        (VIEWER, "approve phases.phasegate.dev -n alicia", false),
    ];
    let wrong: Vec<_> = rows.iter().filter(|(who, what, allowed)| can(&server, *who, what) != *allowed).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}
