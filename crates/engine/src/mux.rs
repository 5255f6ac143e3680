//! Where the devices are.

use std::net::SocketAddr;

use camino::Utf8PathBuf;

/// The address of the mux (usbmuxd or what stands in for it).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mux {
    /// A UNIX socket.
    Unix(Utf8PathBuf),
    /// A TCP socket.
    Tcp(SocketAddr),
}
