//! A relay that only passes bytes on: what anything in between costs on a machine, before it does anything.

use std::{io, net::SocketAddr};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
};

/// Passes every connection on to `to`, for ever.
pub(crate) async fn relay(listener: TcpListener, to: SocketAddr) -> io::Result<()> {
    loop {
        let (mut caller, _) = listener.accept().await?;
        tokio::spawn(async move {
            let mut provider = TcpStream::connect(to).await?;
            caller.set_nodelay(true)?;
            provider.set_nodelay(true)?;
            copy_bidirectional(&mut caller, &mut provider).await
        });
    }
}
