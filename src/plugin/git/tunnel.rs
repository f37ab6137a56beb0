//! The way to the git service: a port of this machine, each of whose connections is one port-forward to its pod.

use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use super::super::client::{Error, api_error};
use crate::plugin::args::GitService;

/// Port of the git service in its pod.
const PORT: u16 = 8080;

/// An open way; closed when it is dropped.
pub(super) struct Tunnel {
    /// Port on 127.0.0.1.
    pub(super) port: u16,
    serving: JoinHandle<()>,
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Opens a way. The first connection is made at once, so that a refusal is told in the API server's words.
pub(super) async fn open(client: Client, service: &GitService) -> Result<Tunnel, Error> {
    let pods: Api<Pod> = Api::namespaced(client, &service.namespace);
    let pod = service.pod();
    let what =
        format!("reach the git service, pod {}/{pod} (--git-service NAMESPACE/NAME names another)", service.namespace);
    drop(pods.portforward(&pod, &[PORT]).await.map_err(api_error(what))?);
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let port = listener.local_addr()?.port();
    let serving = tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            tokio::spawn(forward(pods.clone(), pod.clone(), connection));
        }
    });
    Ok(Tunnel { port, serving })
}

async fn forward(pods: Api<Pod>, pod: String, mut connection: TcpStream) {
    let mut forwarder = match pods.portforward(&pod, &[PORT]).await {
        Ok(forwarder) => forwarder,
        // Git says that the connection was closed.
        Err(error) => return tracing::warn!(%error, "port-forward"),
    };
    let Some(mut stream) = forwarder.take_stream(PORT) else { return };
    if let Err(error) = copy_bidirectional(&mut connection, &mut stream).await {
        tracing::debug!(%error, "port-forward");
    }
    drop(stream);
    if let Err(error) = forwarder.join().await {
        tracing::debug!(%error, "port-forward");
    }
}
