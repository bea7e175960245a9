//! Hosts that are reached directly: the grammar of `NO_PROXY`, as Go reads it.

use std::net::IpAddr;

/// What stands in `NO_PROXY`. Without it, only this machine is reached directly.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct NoProxy {
    is_everything: bool,
    networks: Vec<Network>,
    addresses: Vec<(IpAddr, Option<Box<str>>)>,
    domains: Vec<Domain>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Network {
    address: IpAddr,
    prefix_bits: u32,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Domain {
    /// With its leading dot.
    suffix: Box<str>,
    /// The domain itself counts, too.
    with_itself: bool,
    port: Option<Box<str>>,
}

impl NoProxy {
    /// Reads a list parted by commas: `*`, networks, addresses and domains, the latter two with a port
    /// if need be. What makes no sense is skipped.
    pub(super) fn parse(text: &str) -> Self {
        let mut read = Self::default();
        for entry in text.split(',') {
            let entry = entry.trim().to_ascii_lowercase();
            if entry == "*" {
                read.is_everything = true;
            } else if let Some(network) = Network::parse(&entry) {
                read.networks.push(network);
            } else {
                read.add_host(&entry);
            }
        }
        read
    }

    fn add_host(&mut self, entry: &str) {
        let (host, port) = split_port(entry);
        let port = port.map(Box::from);
        if let Ok(address) = host.parse() {
            self.addresses.push((address, port));
            return;
        }
        let host = host
            .strip_prefix('*')
            .filter(|rest| rest.starts_with('.'))
            .unwrap_or(host);
        if host.is_empty() {
            return;
        }
        let with_itself = !host.starts_with('.');
        let suffix = if with_itself {
            format!(".{host}")
        } else {
            host.to_owned()
        };
        self.domains.push(Domain {
            suffix: suffix.into(),
            with_itself,
            port,
        });
    }

    /// True when `host` (in lower case) at `port` is reached directly.
    pub(super) fn covers(&self, host: &str, port: u16) -> bool {
        let address: Option<IpAddr> = host.parse().ok();
        if host == "localhost"
            || address.is_some_and(|address| address.to_canonical().is_loopback())
        {
            return true;
        }
        let port = port.to_string();
        let is_port =
            |wanted: &Option<Box<str>>| wanted.as_deref().is_none_or(|wanted| wanted == port);
        let is_address = |address: IpAddr| {
            let address = address.to_canonical();
            self.networks
                .iter()
                .any(|network| network.contains(address))
                || self
                    .addresses
                    .iter()
                    .any(|(known, port)| known.to_canonical() == address && is_port(port))
        };
        self.is_everything
            || address.is_some_and(is_address)
            || self.domains.iter().any(|domain| {
                let is_host = host.ends_with(&*domain.suffix)
                    || domain.with_itself && host == &domain.suffix[1..];
                is_host && is_port(&domain.port)
            })
    }
}

impl Network {
    fn parse(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/')?;
        let address: IpAddr = address.parse().ok()?;
        let prefix_bits = bits.parse().ok().filter(|_| !bits.starts_with('+'))?;
        let bits_max = if address.is_ipv4() { 32 } else { 128 };
        (prefix_bits <= bits_max).then_some(Self {
            address,
            prefix_bits,
        })
    }

    fn contains(&self, other: IpAddr) -> bool {
        match (self.address, other) {
            (IpAddr::V4(network), IpAddr::V4(other)) => {
                let differing = network.to_bits() ^ other.to_bits();
                differing.leading_zeros() >= self.prefix_bits
            }
            (IpAddr::V6(network), IpAddr::V6(other)) => {
                let differing = network.to_bits() ^ other.to_bits();
                differing.leading_zeros() >= self.prefix_bits
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

/// Parts `host:port` and `[address]:port`; a bare IPv6 address is a host. A port without a host is
/// nothing.
fn split_port(entry: &str) -> (&str, Option<&str>) {
    let Some((host, port)) = entry.rsplit_once(':') else {
        return (entry, None);
    };
    let inner = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    match inner {
        Some(inner) => (inner, Some(port)),
        None if host.contains(':') => (entry, None),
        None => (host, Some(port)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_cover_their_subdomains_and_a_leading_dot_only_these() {
        check("r.test", "r.test:443", true);
        check("r.test", "a.b.r.test:443", true);
        check("r.test", "other-r.test:443", false);
        check("R.Test", "r.test:443", true);
        check(".r.test", "a.r.test:443", true);
        check(".r.test", "r.test:443", false);
        check("*.r.test", "a.r.test:443", true);
        check("*.r.test", "r.test:443", false);
        check("*r.test", "r.test:443", false);
        check(" a.test , r.test ", "r.test:443", true);
    }

    #[test]
    fn ports_narrow_hosts_and_addresses() {
        check("r.test:5000", "r.test:5000", true);
        check("r.test:5000", "r.test:443", false);
        check("10.0.0.1:5000", "10.0.0.1:5000", true);
        check("10.0.0.1:5000", "10.0.0.1:443", false);
        check("[fd00::1]:5000", "fd00::1:5000", true);
        check("[fd00::1]:5000", "fd00::1:443", false);
    }

    #[test]
    fn addresses_and_networks_cover_addresses_only() {
        check("10.0.0.1", "10.0.0.1:443", true);
        check("10.0.0.1", "10.0.0.10:443", false);
        check("10.0.0.0/8", "10.1.2.3:443", true);
        check("10.0.0.0/8", "11.0.0.1:443", false);
        check("10.0.0.0/8", "10.test:443", false);
        check("0.0.0.0/0", "203.0.113.9:443", true);
        check("fd00::/8", "fd12::1:443", true);
        check("fd00::/8", "fe80::1:443", false);
        check("fd00::1", "fd00::1:443", true);
        check("10.0.0.0/8", "::ffff:10.1.2.3:443", true);
    }

    #[test]
    fn star_covers_everything_and_nonsense_nothing() {
        check("*", "r.test:443", true);
        check("*", "203.0.113.9:443", true);
        check("a.test,*", "r.test:443", true);
        for nonsense in [
            "",
            ",",
            ":5000",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "10.0.0.0/",
            "/8",
            ".",
        ] {
            check(nonsense, "r.test:443", false);
            check(nonsense, "10.0.0.1:443", false);
        }
    }

    #[test]
    fn this_machine_is_always_reached_directly() {
        for host in [
            "localhost:80",
            "127.0.0.1:80",
            "127.9.9.9:80",
            "::1:80",
            "::ffff:127.0.0.1:80",
        ] {
            check("", host, true);
        }
        check("", "localhost.test:80", false);
        check("", "128.0.0.1:80", false);
    }

    fn check(list: &str, address: &str, expected: bool) {
        let (host, port) = address.rsplit_once(':').expect("host and port");
        let port = port.parse().expect("a port");
        assert_eq!(
            NoProxy::parse(list).covers(host, port),
            expected,
            "{list:?} and {address}"
        );
    }
}
