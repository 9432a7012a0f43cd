//! How a host's name becomes addresses: the hosts file first, then the DNS servers that the system names, in its order and with
//! its search list, as the C library does. It is done within this process, since a static binary has no C library to load for
//! it (docs/adr/0035). Nothing is kept: a changed file and a new record count at once.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::ProtoError;
use hickory_resolver::proto::rr::Name;
use hickory_resolver::system_conf::read_system_conf;

const HOSTS: &str = "/etc/hosts";

/// A host's name has no address. All but [`NameError::Invalid`] may be tried again.
#[derive(Debug, thiserror::Error)]
pub enum NameError {
    /// What the system says of names can't be read.
    #[error("can't read {HOSTS}")]
    Hosts(#[source] io::Error),
    /// The system names no DNS server, or in a way that is not understood.
    #[error("{host} is not in {HOSTS}, and /etc/resolv.conf names no usable DNS server")]
    Servers {
        /// The host.
        host: String,
        /// Why not.
        #[source]
        source: NetError,
    },
    /// It can't be a host's name.
    #[error("{host} can't be a host's name")]
    Invalid {
        /// The host.
        host: String,
        /// Why not.
        #[source]
        source: ProtoError,
    },
    /// It is in no file, and the servers know of none.
    #[error("{HOSTS} and DNS know no address of {host}")]
    Unknown {
        /// The host.
        host: String,
    },
    /// It leads to this machine or a private network alone, and may not.
    #[error("{host} has no address but of a private network")]
    Private {
        /// The host.
        host: String,
    },
    /// The servers did not say.
    #[error("the DNS servers gave no answer about {host}")]
    Unanswered {
        /// The host.
        host: String,
        /// What happened instead.
        #[source]
        source: NetError,
    },
}

impl NameError {
    /// What a person can do.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Hosts(_) => "let Sentry's user read /etc/hosts",
            Self::Servers { .. } => "write `nameserver ADDRESS` into /etc/resolv.conf",
            Self::Invalid { .. } => "correct the URL's host",
            Self::Unknown { .. } => {
                "correct the URL's host, or name a DNS server that knows it in /etc/resolv.conf"
            }
            Self::Private { .. } => "allow the host by its name if it is meant",
            Self::Unanswered { .. } => {
                "check the DNS servers of /etc/resolv.conf, and that they can be reached"
            }
        }
    }
}

/// True for an address that is reached by way of the Internet: not of this machine, of a private or shared network, of a link,
/// of a group, reserved or for documentation (<https://www.iana.org/assignments/iana-ipv4-special-registry/>,
/// <https://www.iana.org/assignments/iana-ipv6-special-registry/>). Addresses of IPv6 that stand for one of IPv4 are as that.
#[must_use]
pub(crate) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            let is_special = matches!(
                (a, b, c),
                (192, 0, 0) | (192, 88, 99) | (100, 64..=127, _) | (198, 18..=19, _)
            ) || matches!(a, 0 | 240..);
            !(is_special
                || v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_multicast()
                || v4.is_documentation())
        }
        IpAddr::V6(v6) => {
            if let Some(v4) = v6.to_ipv4_mapped() {
                return is_public(IpAddr::V4(v4));
            }
            let [a, b, ..] = v6.segments();
            // 64:ff9b::/96 and 2002::/16 lead to addresses of IPv4; of Teredo's no host is one.
            let is_global = a & 0xe000 == 0x2000;
            let is_special =
                a == 0x2002 || a == 0x2001 && (b < 0x0200 || b == 0x0db8) || a == 0x3fff;
            is_global && !is_special
        }
    }
}

/// The addresses of a host; at least one, those of IPv6 first.
///
/// # Errors
/// [`NameError`].
pub async fn addresses(host: &str) -> Result<Vec<IpAddr>, NameError> {
    let hosts = match std::fs::read(HOSTS) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(NameError::Hosts(error)),
    };
    let listed = listed(&hosts, host);
    if !listed.is_empty() {
        return Ok(listed);
    }
    let (config, options) = read_system_conf()
        .map_err(|source| NameError::Servers { host: host.to_owned(), source })?;
    asked(host, &config, &options).await
}

/// What the text of a hosts file says, and what needs no file (<https://www.rfc-editor.org/rfc/rfc6761#section-6.3>).
fn listed(hosts: &str, host: &str) -> Vec<IpAddr> {
    let host = host.strip_suffix('.').unwrap_or(host);
    let mut found: Vec<IpAddr> = Vec::new();
    for line in hosts.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let Some(Ok(address)) = words.next().map(str::parse) else { continue };
        if words.any(|name| name.eq_ignore_ascii_case(host)) && !found.contains(&address) {
            found.push(address);
        }
    }
    let host = host.to_ascii_lowercase();
    if found.is_empty() && (host == "localhost" || host.ends_with(".localhost")) {
        found.extend([IpAddr::from(Ipv6Addr::LOCALHOST), Ipv4Addr::LOCALHOST.into()]);
    }
    found.sort_by_key(IpAddr::is_ipv4);
    found
}

/// What these servers say.
async fn asked(
    host: &str,
    config: &ResolverConfig,
    options: &ResolverOpts,
) -> Result<Vec<IpAddr>, NameError> {
    let host = || host.to_owned();
    let name = Name::from_str_relaxed(host())
        .map_err(|source| NameError::Invalid { host: host(), source })?;
    let unanswered = |source| NameError::Unanswered { host: host(), source };
    let servers = config.name_servers().iter().map(|server| alone(server, options));
    let servers: Vec<_> = servers.collect::<Result<_, _>>().map_err(unanswered)?;
    let mut doubt = None;
    for name in full(&name, config, options.ndots) {
        match first(&servers, &name).await {
            Ok(found) if !found.is_empty() => return Ok(found),
            Ok(_) => {}
            // It answered that it can't tell: it knows nothing of this name.
            Err(error @ NetError::Dns(DnsError::ResponseCode(_))) => doubt = Some(error),
            // Nothing is known of this name, and the next one could be another host's.
            Err(error) => return Err(unanswered(error)),
        }
    }
    Err(doubt.map_or_else(|| NameError::Unknown { host: host() }, unanswered))
}

/// One server by itself: several at once would share the time that one may take, and answer in an order of their own.
fn alone(server: &NameServerConfig, options: &ResolverOpts) -> Result<TokioResolver, NetError> {
    let config = ResolverConfig::from_parts(None, Vec::new(), vec![server.clone()]);
    let mut resolver = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    let mut options = options.clone();
    options.use_hosts_file = ResolveHosts::Never;
    // A packet is sent again within the time for one attempt.
    options.attempts = 0;
    options.cache_size = 0;
    *resolver.options_mut() = options;
    resolver.build()
}

/// What the first server says that answers: behind a VPN the others know other names.
async fn first(servers: &[TokioResolver], name: &Name) -> Result<Vec<IpAddr>, NetError> {
    let mut why = NetError::NoConnections;
    for server in servers {
        let (six, four) =
            tokio::join!(server.ipv6_lookup(name.clone()), server.ipv4_lookup(name.clone()));
        match (known(six), known(four)) {
            (Ok(six), Ok(four)) => return Ok([six, four].concat()),
            (Ok(found), Err(_)) | (Err(_), Ok(found)) if !found.is_empty() => return Ok(found),
            (Err(error), _) | (_, Err(error)) => why = error,
        }
    }
    Err(why)
}

/// The addresses in an answer; none, if it says that there are none.
fn known(answer: Result<Lookup, NetError>) -> Result<Vec<IpAddr>, NetError> {
    match answer {
        Ok(answer) => Ok(answer.answers().iter().filter_map(|r| r.data.ip_addr()).collect()),
        Err(error) if error.is_no_records_found() => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// The names that are asked for, in order: with at least `ndots` dots as it is first, else with each domain of the search list
/// (resolv.conf(5)).
fn full(name: &Name, config: &ResolverConfig, ndots: usize) -> Vec<Name> {
    let mut itself = name.clone();
    itself.set_fqdn(true);
    if name.is_fqdn() {
        return vec![itself];
    }
    // The domain in this machine's own name counts where the file has no list.
    let own = config.domain().filter(|_| config.search().is_empty());
    let domains = config.search().iter().chain(own);
    // A name that gets too long by it can't be anybody's.
    let mut names: Vec<_> =
        domains.filter_map(|domain| name.clone().append_domain(domain).ok()).collect();
    let dots = usize::from(name.num_labels()).saturating_sub(1);
    let at = if dots >= ndots { 0 } else { names.len() };
    names.insert(at, itself);
    names
}

#[cfg(test)]
mod tests;
