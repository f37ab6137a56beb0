//! The chart: its values, what it renders, what a removal leaves.

use crate::support::ApiServer;

/// What `helm template` says with these flags, whether it works or not.
fn render(server: &ApiServer, flags: &str) -> String {
    server.shell(&format!("helm template phasegate charts/phasegate --namespace phasegate {flags} 2>&1 || true"))
}

#[tokio::test]
#[ignore = "starts an API server: make test"]
async fn a_value_that_means_nothing_is_refused() {
    let server = ApiServer::with_chart().await;
    for (flags, words) in [
        ("--set operater.replicas=2", "additional properties 'operater' not allowed"),
        ("--set operator.replicas=two", "/operator/replicas"),
        ("--set git.persistence.size=lots", "/git/persistence/size"),
        ("--set 'projects[0].namespace=alicia'", "missing property 'name'"),
        ("--set 'projects[0].name=Alicia'", "/projects/0/name"),
        ("--set 'projects[0].name=a,projects[0].podSecurity=privileged'", "/projects/0/podSecurity"),
        ("--set 'projects[0].name=a,projects[0].leads[0].name=l'", "missing property 'kind'"),
        ("--set 'projects[0].name=a,projects[0].egress[0].name=e'", "missing property 'to'"),
        ("--set-json 'policies.jobControllers=[]'", "/policies/jobControllers"),
        ("--set image.digest=latest", "/image/digest"),
        ("--set apiKeys.existingSecret=Keys", "/apiKeys/existingSecret"),
        ("--set apiKeys.keys=x", "additional properties 'keys' not allowed"),
    ] {
        let said = render(&server, flags);
        assert!(said.contains(words), "{flags}: {said:.600}");
    }
}

#[tokio::test]
#[ignore = "starts an API server: make test"]
async fn every_variant_of_the_chart_is_accepted() {
    let server = ApiServer::with_chart().await;
    for flags in [
        "",
        "--set crds.keep=false,rbac.aggregate=false,networkPolicies.enabled=false",
        "--set policies.enabled=false",
        "--set-string image.digest=sha256:0000000000000000000000000000000000000000000000000000000000000000",
        "--set 'projects[0].name=alicia,projects[0].createNamespace=false,projects[0].viewers[0].kind=ServiceAccount,projects[0].viewers[0].name=ci'",
        "--set git.persistence.storageClass=-,operator.replicas=3,operator.extraArgs[0]=--concurrency=4,operator.podAnnotations.a=b,git.podAnnotations.a=b",
        "--set apiKeys.existingSecret=phasegate-api-keys",
        "--set imagePullSecrets[0].name=s,operator.nodeSelector.a=b,operator.priorityClassName=system-cluster-critical,git.tolerations[0].operator=Exists",
    ] {
        server.shell(&format!(
            "helm template other charts/phasegate --namespace phasegate {flags} \
               | kubectl apply --server-side --force-conflicts --dry-run=server -f -"
        ));
    }
}

#[tokio::test]
#[ignore = "starts an API server: make test"]
async fn switches_turn_off_what_they_name() {
    let server = ApiServer::with_chart().await;
    let project = "--set 'projects[0].name=alicia'";
    for (kind, off) in [
        ("kind: CustomResourceDefinition", "--set crds.install=false"),
        ("helm.sh/resource-policy: keep\n  name: phases", "--set crds.keep=false"),
        ("kind: ValidatingAdmissionPolicy", "--set policies.enabled=false"),
        ("kind: NetworkPolicy", "--set networkPolicies.enabled=false"),
        ("aggregate-to-edit", "--set rbac.aggregate=false"),
        ("kind: Namespace\n", "--set 'projects[0].createNamespace=false'"),
    ] {
        assert!(render(&server, project).contains(kind), "{kind} is there");
        assert!(!render(&server, &format!("{project} {off}")).contains(kind), "{kind} is there in spite of {off}");
    }
    for (kind, on) in [
        ("kind: ServiceMonitor", "--set metrics.serviceMonitor.enabled=true"),
        ("kind: PodDisruptionBudget", "--set operator.replicas=2"),
        ("PHASEGATE_API_KEYS_FILE", "--set apiKeys.existingSecret=phasegate-api-keys"),
    ] {
        assert!(!render(&server, "").contains(kind), "{kind} is there");
        assert!(render(&server, on).contains(kind), "{kind} is not there in spite of {on}");
    }
}

/// Uninstalling must lose no phase and no history; reinstalling must find them.
#[tokio::test]
#[ignore = "starts an API server: make test"]
async fn a_removed_release_leaves_kinds_and_projects_and_can_come_back() {
    let server = ApiServer::start();
    let notes = server.install_chart("");
    assert!(notes.contains("kubectl -n alicia get phases --watch"), "the notes name the next command: {notes}");
    assert!(!notes.contains("keys.yaml"), "nobody asked for API keys: {notes}");
    server.shell(
        "kubectl -n alicia apply -f - <<'END'
{apiVersion: phasegate.dev/v1alpha1, kind: Repository, metadata: {name: hello}, spec: {}}
END
         helm uninstall phasegate --namespace phasegate",
    );
    assert_eq!(server.shell("kubectl get validatingadmissionpolicies -o name"), "");
    assert_eq!(server.shell("kubectl -n alicia get repositories -o name").trim(), "repository.phasegate.dev/hello");
    server.shell("helm install phasegate charts/phasegate --namespace phasegate --values tests/support/values.yaml");
    assert_eq!(server.shell("kubectl -n alicia get repositories -o name").trim(), "repository.phasegate.dev/hello");
}
