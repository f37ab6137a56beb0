//! The companion over a real port, with a real MCP client and the real git service.

mod compared;
mod conflict;
mod ends;
mod mcp;
mod reviewer;
mod saves;
mod scripted_merge;

use std::{net::SocketAddr, sync::Arc};

use rmcp::{
    RoleClient, ServiceExt as _,
    model::{CallToolRequestParams, CallToolResult, ClientCapabilities, ClientConfig, Implementation},
    service::RunningService,
    transport::{StreamableHttpClientTransport, streamable_http_client::StreamableHttpClientTransportConfig},
};
use serde_json::Value;
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

use super::{Companion, CompanionError, serve};
use crate::{
    api::agent_task::Role,
    runner::{prepare, world::World},
};

/// A prepared pod whose companion serves.
struct Pod {
    world: World,
    address: SocketAddr,
    end: oneshot::Sender<()>,
    serving: JoinHandle<Result<(), CompanionError>>,
}

impl Pod {
    async fn new(role: Role) -> Self {
        Self::of(World::new(role).await).await
    }

    async fn of(world: World) -> Self {
        prepare::set_up(&world.args, &world.places, &world.assignment()).await.unwrap();
        Self::of_prepared(world).await
    }

    async fn of_prepared(world: World) -> Self {
        let companion = Arc::new(Companion::new(&world.args, &world.places).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (end, ended) = oneshot::channel();
        let serving = tokio::spawn(serve(companion, listener, async move { drop(ended.await) }));
        Self { world, address, end, serving }
    }

    fn mcp_url(&self) -> String {
        format!("http://{}/mcp", self.address)
    }

    async fn agent(&self) -> Agent {
        let config = StreamableHttpClientTransportConfig::with_uri(self.mcp_url());
        let me = Implementation::new("test", "1");
        let client = ClientConfig::new(ClientCapabilities::default(), me);
        Agent(client.serve(StreamableHttpClientTransport::from_config(config)).await.unwrap())
    }

    /// The main container ends, and the companion delivers.
    async fn end(self) -> World {
        self.end.send(()).unwrap();
        self.serving.await.unwrap().unwrap();
        self.world
    }
}

/// A client as agents have it.
struct Agent(RunningService<RoleClient, ClientConfig>);

impl Agent {
    async fn call(&self, tool: &'static str, arguments: Value) -> CallToolResult {
        let arguments = arguments.as_object().cloned().unwrap();
        self.0.call_tool(CallToolRequestParams::new(tool).with_arguments(arguments)).await.unwrap()
    }

    async fn accepted(&self, tool: &'static str, arguments: Value) -> Value {
        let result = self.call(tool, arguments).await;
        assert_ne!(result.is_error, Some(true), "{result:?}");
        result.structured_content.unwrap()
    }

    async fn refused(&self, tool: &'static str, arguments: Value) -> String {
        let result = self.call(tool, arguments).await;
        assert_eq!(result.is_error, Some(true), "{result:?}");
        result.content[0].as_text().unwrap().text.clone()
    }
}
