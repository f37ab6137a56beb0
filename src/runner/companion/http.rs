//! The way to the companion: MCP for the processes of this pod, health for the kubelet.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Router,
    extract::{ConnectInfo, Request},
    http::StatusCode,
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use rmcp::transport::streamable_http_server::{
    StreamableHttpServerConfig, StreamableHttpService, session::never::NeverSessionManager,
};
use tokio::net::TcpListener;

use super::{Companion, tools::Tools};

/// Largest MCP request: summaries, plans and answers are small.
const MAX_REQUEST: usize = 1 << 20;

/// Serves until it is dropped.
pub(super) async fn serve(companion: Arc<Companion>, listener: TcpListener) {
    let app = app(companion).into_make_service_with_connect_info::<SocketAddr>();
    if let Err(error) = axum::serve(listener, app).await {
        tracing::error!(%error, "the companion's listener broke");
    }
}

pub(super) fn app(companion: Arc<Companion>) -> Router {
    // Stateless: nothing of a session is lost when the companion starts again.
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_allowed_hosts(["localhost", "127.0.0.1", "::1"])
        .with_allowed_origins(["http://localhost:*", "http://127.0.0.1:*", "http://[::1]:*"])
        .enforce_origin_validation()
        .with_max_request_body_bytes(MAX_REQUEST);
    let tools = Tools::new(companion);
    let mcp: StreamableHttpService<Tools, NeverSessionManager> =
        StreamableHttpService::new(move || Ok(tools.clone()), Arc::default(), config);
    Router::new()
        .nest_service("/mcp", mcp)
        .layer(middleware::from_fn(of_this_pod))
        .route("/healthz", get(|| async { "ok" }))
}

/// The probe comes from the node, so the port is open to the network; MCP has no caller but this pod's own processes.
async fn of_this_pod(ConnectInfo(peer): ConnectInfo<SocketAddr>, request: Request, next: Next) -> Response {
    if peer.ip().to_canonical().is_loopback() {
        return next.run(request).await;
    }
    (StatusCode::FORBIDDEN, "MCP is for this pod's own processes, at localhost").into_response()
}
