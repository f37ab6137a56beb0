//! The operator as a process, on an API server of its own: what it does when it does not lead any more.

use std::{
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use k8s_openapi::api::coordination::v1::Lease;
use kube::{
    Api,
    api::{Patch, PatchParams},
};

use crate::support::ApiServer;

const NAMESPACE: &str = "default";
const LEASE: &str = "leader";
/// For what takes seconds.
const PATIENCE: Duration = Duration::from_secs(120);

struct Operator(Child);

impl Operator {
    fn start(server: &ApiServer) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_phasegate"))
            .args(["operator", "--namespace", NAMESPACE, "--lease-name", LEASE, "--lease-seconds", "3"])
            .args(["--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"])
            .env("KUBECONFIG", server.kubeconfig())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the operator starts");
        Self(child)
    }

    async fn ends(&mut self) -> std::process::ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().expect("a child") {
                return status;
            }
            assert!(start.elapsed() < PATIENCE, "the operator goes on without the Lease");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts an API server: make test"]
async fn an_operator_that_has_lost_the_lease_ends() {
    let server = ApiServer::start();
    server.install_chart("");
    let leases: Api<Lease> = Api::namespaced(server.client().await, NAMESPACE);
    let mut operator = Operator::start(&server);
    let start = Instant::now();
    while leases.get_opt(LEASE).await.expect("an answer").is_none() {
        assert!(start.elapsed() < PATIENCE, "the operator does not lead");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let taken = serde_json::json!({"spec": {"holderIdentity": "another"}});
    leases.patch(LEASE, &PatchParams::default(), &Patch::Merge(taken)).await.expect("the Lease is taken away");
    let status = operator.ends().await;
    assert!(!status.success(), "{status}");
    let mut said = String::new();
    let mut stderr = operator.0.stderr.take().expect("piped");
    std::io::Read::read_to_string(&mut stderr, &mut said).expect("text");
    assert!(said.contains("the Lease is lost; another replica leads now"), "{said}");
}
