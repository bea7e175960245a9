//! What the system knows of sockets and memory, read from `/proc`.

use std::collections::BTreeSet;
use std::fs;
use std::ops::AddAssign;

/// `TCP_TIME_WAIT`, `TCP_CLOSE` and `TCP_LISTEN` as `/proc/net/tcp` has them.
const TIME_WAIT: &str = "06";
const CLOSED: &str = "07";
const LISTENING: &str = "0A";

/// The TCP connections to one port over IPv4, seen from those who opened them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SystemSockets {
    /// Of any state but the waiting after the end.
    pub open: usize,
    /// Ended, but their addresses cannot be used again yet; whichever side closed first.
    pub time_wait: usize,
}

impl SystemSockets {
    /// Those of this moment; none where the system does not say.
    pub fn to(port: u16) -> Self {
        let table = fs::read_to_string("/proc/net/tcp").unwrap_or_default();
        let mut counted = Self::default();
        // The table is read in pieces: while others come and go, a connection may be listed twice.
        let mut seen = BTreeSet::new();
        for line in table.lines().skip(1) {
            let ends: Vec<&str> = line.split_ascii_whitespace().skip(1).take(2).collect();
            if !seen.insert(ends) {
                continue;
            }
            counted += Self::of_line(line, port).unwrap_or_default();
        }
        counted
    }

    fn of_line(line: &str, port: u16) -> Option<Self> {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let (local, remote, state) = (fields.next()?, fields.next()?, fields.next()?);
        let is_port = |address: &str| {
            let digits = address.split_once(':').map(|(_, port)| port);
            digits.and_then(|digits| u16::from_str_radix(digits, 16).ok()) == Some(port)
        };
        let is_waiting = state == TIME_WAIT;
        let is_open = !is_waiting && state != CLOSED && state != LISTENING;
        Some(Self {
            open: usize::from(is_open && is_port(remote)),
            time_wait: usize::from(is_waiting && (is_port(remote) || is_port(local))),
        })
    }
}

impl AddAssign for SystemSockets {
    fn add_assign(&mut self, other: Self) {
        self.open += other.open;
        self.time_wait += other.time_wait;
    }
}

/// The memory that this process has in use, in KiB; 0 where the system does not say.
pub fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_ascii_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn own_connections_are_seen_from_the_side_that_opened_them() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let open = || SystemSockets::to(address.port()).open;
        assert_eq!(open(), 0, "listening is no connection");
        let streams: Vec<_> = (0..3)
            .map(|_| TcpStream::connect(address).expect("it listens"))
            .collect();
        assert_eq!(open(), 3);
        drop(streams);
        assert!(resident_kib() > 0);
    }
}
