//! A forward proxy that opens tunnels, to this machine whatever host is named.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

/// A proxy on loopback; its threads end with the process.
pub struct ConnectProxy {
    /// Where it listens: host and port.
    pub address: String,
    heads: Arc<Mutex<Vec<String>>>,
    streams: Arc<Mutex<Vec<TcpStream>>>,
}

/// What a proxy speaks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum ProxyKind {
    /// HTTP with `CONNECT`.
    Http,
    /// SOCKS5, with this user and password where they are given.
    Socks5(Option<(&'static str, &'static str)>),
}

impl ConnectProxy {
    /// Starts one.
    pub fn start(kind: ProxyKind) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound").to_string();
        let heads = Arc::<Mutex<Vec<String>>>::default();
        let seen = Arc::clone(&heads);
        let streams = Arc::<Mutex<Vec<TcpStream>>>::default();
        let open = Arc::clone(&streams);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let kept = stream.try_clone().expect("a socket can be shared");
                open.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(kept);
                let seen = Arc::clone(&seen);
                std::thread::spawn(move || serve(stream, kind, &seen));
            }
        });
        Self {
            address,
            heads,
            streams,
        }
    }

    /// Cuts off every client.
    pub fn cut(&self) {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        for stream in streams.drain(..) {
            drop(stream.shutdown(Shutdown::Both));
        }
    }

    /// What was asked of it so far.
    pub fn heads(&self) -> Vec<String> {
        let heads = self.heads.lock().unwrap_or_else(PoisonError::into_inner);
        heads.clone()
    }
}

fn serve(mut client: TcpStream, kind: ProxyKind, seen: &Mutex<Vec<String>>) -> Option<()> {
    let head = match kind {
        ProxyKind::Http => http_head(&mut client)?,
        ProxyKind::Socks5(login) => socks_head(&mut client, login)?,
    };
    let port = head
        .split([' ', '\r'])
        .nth(1)?
        .rsplit(':')
        .next()?
        .to_owned();
    seen.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(head);
    let mut server = TcpStream::connect(format!("127.0.0.1:{port}")).ok()?;
    let reply: &[u8] = match kind {
        ProxyKind::Http => b"HTTP/1.1 200 Connection established\r\n\r\n",
        ProxyKind::Socks5(_) => &[5, 0, 0, 1, 0, 0, 0, 0, 0, 0],
    };
    client.write_all(reply).ok()?;
    let (mut from, mut to) = (client.try_clone().ok()?, server.try_clone().ok()?);
    let upwards = std::thread::spawn(move || {
        drop(std::io::copy(&mut from, &mut to));
        drop(to.shutdown(Shutdown::Write));
    });
    drop(std::io::copy(&mut server, &mut client));
    drop(client.shutdown(Shutdown::Write));
    upwards.join().ok()
}

fn http_head(client: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(byte(client)?);
    }
    String::from_utf8(head).ok()
}

/// As text of the same shape: `CONNECT host:port` and the user.
fn socks_head(client: &mut TcpStream, login: Option<(&str, &str)>) -> Option<String> {
    let [version, n_methods] = [byte(client)?, byte(client)?];
    let methods = bytes(client, n_methods)?;
    let method = if login.is_some() { 2 } else { 0 };
    if version != 5 || !methods.contains(&method) {
        client.write_all(&[5, 0xff]).ok()?;
        return None;
    }
    client.write_all(&[5, method]).ok()?;
    let mut user = String::new();
    if let Some((name, password)) = login {
        byte(client)?;
        let n_name = byte(client)?;
        user = String::from_utf8(bytes(client, n_name)?).ok()?;
        let n_password = byte(client)?;
        let is_right = user == name && bytes(client, n_password)? == password.as_bytes();
        client.write_all(&[1, u8::from(!is_right)]).ok()?;
        is_right.then_some(())?;
    }
    let [_, _, _, kind] = [byte(client)?, byte(client)?, byte(client)?, byte(client)?];
    let host = match kind {
        1 => bytes(client, 4)?
            .iter()
            .map(u8::to_string)
            .collect::<Vec<_>>()
            .join("."),
        3 => {
            let n_bytes = byte(client)?;
            String::from_utf8(bytes(client, n_bytes)?).ok()?
        }
        _ => return None,
    };
    let port = u16::from_be_bytes([byte(client)?, byte(client)?]);
    Some(format!("CONNECT {host}:{port} {user}"))
}

fn byte(client: &mut TcpStream) -> Option<u8> {
    let mut one = [0];
    client.read_exact(&mut one).ok()?;
    Some(one[0])
}

fn bytes(client: &mut TcpStream, n_bytes: u8) -> Option<Vec<u8>> {
    let mut many = vec![0; n_bytes.into()];
    client.read_exact(&mut many).ok()?;
    Some(many)
}
