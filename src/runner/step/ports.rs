//! Waits until the services of a check answer.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use tokio::{net::TcpStream, time::Instant};

/// Between two looks at a port.
const PAUSE: Duration = Duration::from_millis(50);

/// Waits for each port on localhost to accept a connection. The error names the one that did not.
pub(super) async fn wait(ports: &[u16], longest: Duration) -> Result<(), String> {
    let deadline = Instant::now() + longest;
    for &port in ports {
        if tokio::time::timeout_at(deadline, answers(port)).await.is_err() {
            return Err(format!(
                "service port {port} accepted no connection within {} s; the service must listen on localhost:{port}, and its container's log says why it does not",
                longest.as_secs()
            ));
        }
    }
    Ok(())
}

async fn answers(port: u16) {
    let addresses = [SocketAddr::from((Ipv4Addr::LOCALHOST, port)), SocketAddr::from((Ipv6Addr::LOCALHOST, port))];
    loop {
        for address in addresses {
            if TcpStream::connect(address).await.is_ok() {
                return;
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}
