//! Which proxy a request takes: the configured one or the environment's, with exceptions as curl reads them, because git
//! reads them so.

use std::net::{Ipv4Addr, Ipv6Addr};

use reqwest::Url;

/// Where the environment names proxies, by the scheme of what is asked; curl's order.
const OF_HTTPS: &[&str] = &["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
const OF_HTTP: &[&str] = &["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"];
const EXCEPTIONS: &[&str] = &["no_proxy", "NO_PROXY"];

/// The proxies of a client.
#[derive(Clone, Default)]
pub struct Proxies {
    https: Option<Url>,
    http: Option<Url>,
    except: NoProxy,
}

impl Proxies {
    /// One proxy for everything but the exceptions. It may hold a user and password.
    #[must_use]
    pub fn one(proxy: Url, except: &str) -> Self {
        Self { https: Some(proxy.clone()), http: Some(proxy), except: NoProxy::new(except) }
    }

    /// Those that the environment names.
    #[must_use]
    pub fn from_env() -> Self {
        Self::named(|name| std::env::var(name).ok())
    }

    /// Those that variables name. An empty one counts as unset, an address without a scheme is one of http.
    fn named(var: impl Fn(&str) -> Option<String>) -> Self {
        let first = |names: &[&str]| {
            names.iter().find_map(|name| var(name).filter(|value| !value.is_empty()))
        };
        let proxy = |names| {
            let text = first(names)?;
            let text = if text.contains("://") { text } else { format!("http://{text}") };
            Url::parse(&text).ok().filter(Url::has_host)
        };
        let except = first(EXCEPTIONS).unwrap_or_default();
        Self { https: proxy(OF_HTTPS), http: proxy(OF_HTTP), except: NoProxy::new(&except) }
    }

    /// The proxy for a request.
    #[must_use]
    pub fn of(&self, url: &Url) -> Option<&Url> {
        let proxy = if url.scheme() == "http" { &self.http } else { &self.https };
        proxy.as_ref().filter(|_| !url.host_str().is_some_and(|host| self.except.covers(host)))
    }

    /// The proxies themselves, for whoever must know their passwords.
    pub fn all(&self) -> impl Iterator<Item = &Url> {
        [&self.https, &self.http].into_iter().flatten()
    }
}

/// Shows no password.
impl std::fmt::Debug for Proxies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = |url: &Option<Url>| url.as_ref().map(crate::shown);
        f.debug_struct("Proxies")
            .field("https", &shown(&self.https))
            .field("http", &shown(&self.http))
            .field("except", &self.except)
            .finish()
    }
}

/// Hosts that are reached without a proxy: names, which stand for all below them as well, addresses and networks, with
/// commas or blanks between; or `*` alone for all.
///
/// What counts is what curl does (`Curl_check_noproxy`), where its manual says less: a name may begin or end with a dot, an
/// entry with a port or in brackets matches nothing, a `*` among others neither.
#[derive(Debug, Clone, Default)]
pub struct NoProxy {
    all: bool,
    entries: Vec<String>,
}

impl NoProxy {
    /// From the text of a variable or setting.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let entries = text.split([',', ' ', '\t']).filter(|entry| !entry.is_empty());
        Self { all: text == "*", entries: entries.map(str::to_ascii_lowercase).collect() }
    }

    /// True if the host, as it stands in a URL, is reached directly.
    #[must_use]
    pub fn covers(&self, host: &str) -> bool {
        if self.all {
            return true;
        }
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let v6 = bare.map(str::parse::<Ipv6Addr>);
        let mut entries = self.entries.iter();
        match (v6, host.parse::<Ipv4Addr>()) {
            (Some(Ok(ip)), _) => entries
                .any(|entry| in_network(entry, 128, |net: Ipv6Addr| ip.to_bits() ^ net.to_bits())),
            (Some(Err(_)), _) => false,
            (None, Ok(ip)) => entries.any(|entry| {
                in_network(entry, 32, |net: Ipv4Addr| u128::from(ip.to_bits() ^ net.to_bits()))
            }),
            (None, Err(_)) => {
                let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
                entries.any(|entry| is_below(&host, entry))
            }
        }
    }
}

/// True for an address, or a network with so many of its `bits` fixed; none fixed means all.
fn in_network<T: std::str::FromStr>(entry: &str, bits: u32, differing: impl Fn(T) -> u128) -> bool {
    let (network, fixed) = match entry.split_once('/') {
        Some((network, fixed)) => (network, leading_number(fixed)),
        None => (entry, 0),
    };
    let fixed = if fixed == 0 { bits } else { fixed };
    let free = bits.checked_sub(fixed);
    match (free, network.parse()) {
        (Some(free), Ok(network)) => differing(network).checked_shr(free).unwrap_or(0) == 0,
        _ => false,
    }
}

/// The number that a text begins with, as C's `atoi` has it; a negative one fits nothing.
fn leading_number(text: &str) -> u32 {
    let text = text.trim_start();
    if text.starts_with('-') {
        return u32::MAX;
    }
    let text = text.strip_prefix('+').unwrap_or(text);
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    if end == 0 { 0 } else { text[..end].parse().unwrap_or(u32::MAX) }
}

fn is_below(host: &str, entry: &str) -> bool {
    let entry = entry.strip_suffix('.').unwrap_or(entry);
    let entry = entry.strip_prefix('.').unwrap_or(entry);
    match host.strip_suffix(entry) {
        Some("") => true,
        Some(front) => front.ends_with('.'),
        None => false,
    }
}

/// The proxies as the client takes them. None but these: the client's own reading of the environment differs from curl's.
pub(crate) fn apply(builder: reqwest::ClientBuilder, proxies: &Proxies) -> reqwest::ClientBuilder {
    let proxies = proxies.clone();
    let chosen = reqwest::Proxy::custom(move |url| proxies.of(url).cloned());
    builder.no_proxy().proxy(chosen)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::process::Command;

    use super::*;

    /// Lists, and hosts that each is asked about.
    const LISTS: &[&str] = &[
        "",
        "*",
        " *",
        "*,a",
        "a,*",
        "example.com",
        ".example.com",
        "..example.com",
        "example.com.",
        "EXAMPLE.com",
        "www.example.com",
        "ample.com",
        "com",
        ".",
        "example.com:8080",
        "*.example.com",
        "a, example.com",
        "a example.com",
        "a\texample.com",
        ",,example.com,,",
        "localhost",
        "10.1.2.3",
        "10.0.0.0/8",
        "10.1.2.3/32",
        "10.1.2.3/33",
        "10.1.2.0/24x",
        "10.1.2.0/",
        "10.9.0.0/0",
        "10.1.2.3/-1",
        "10.1.2.3:80",
        "10",
        "10.1",
        "0.0.0.0/1",
        "10.1.0.0/15",
        "::1",
        "[::1]",
        "[::1]:80",
        "::ffff:10.1.2.3",
        "bücher.example",
        "xn--bcher-kva.example",
        "2.3",
        "3",
    ];
    const HOSTS: &[&str] = &[
        "example.com",
        "www.example.com",
        "EXAMPLE.COM",
        "example.com.",
        "nonexample.com",
        "example.com.evil.org",
        "localhost",
        "10.1.2.3",
        "10.1.2.4",
        "11.1.2.3",
        "[::1]",
        "[::2]",
        "[fe80::5]",
        "xn--bcher-kva.example",
        "a",
    ];

    /// Whether curl asked each host directly. Nobody listens: neither where the proxy is said to be, nor where all else leads.
    fn curls_way(list: &str) -> Vec<bool> {
        let port = || TcpListener::bind("127.0.0.1:0").unwrap();
        let ports = [port(), port()].map(|listener| listener.local_addr().unwrap().port());
        let [proxy, direct] = ports.map(|port| format!("127.0.0.1:{port}"));
        let output = Command::new("curl")
            .args(["-sv", "--max-time", "5", "--connect-to", &format!("::{direct}")])
            .args(HOSTS.iter().map(|host| format!("http://{host}/")))
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("http_proxy", format!("http://{proxy}"))
            .env("NO_PROXY", list)
            .output()
            .expect("curl runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let tried =
            said.lines().filter_map(|line| line.split_once("Trying ")?.1.strip_suffix("..."));
        tried
            .map(|place| {
                assert!(place == proxy || place == direct, "{place}");
                place == direct
            })
            .collect()
    }

    #[test]
    fn exceptions_from_a_proxy_are_those_that_curl_makes() {
        let mut covered = 0;
        for list in LISTS {
            let (ours, theirs) = (NoProxy::new(list), curls_way(list));
            assert_eq!(theirs.len(), HOSTS.len(), "{list:?}");
            for (host, direct) in HOSTS.iter().zip(theirs) {
                assert_eq!(ours.covers(host), direct, "{list:?} and {host}");
                covered += usize::from(direct);
            }
        }
        println!(
            "{} pairs as curl has them, {covered} without the proxy",
            LISTS.len() * HOSTS.len()
        );
        assert!(covered > 50);
    }

    /// curl 7.88 knows an address by its text alone, against its manual (CURLOPT_NOPROXY(3)) and later versions.
    #[test]
    fn networks_of_ipv6_are_exceptions_as_those_of_ipv4() {
        for (list, host, expected) in [
            ("::1/128", "[::1]", true),
            ("::1/128", "[::2]", false),
            ("::/64", "[::2]", true),
            ("::1/127", "[::2]", false),
            ("fe80::/10", "[febf::5]", true),
            ("fe80::/10", "[fec0::5]", false),
            ("::1/129", "[::1]", false),
            ("0:0:0:0:0:0:0:1", "[::1]", true),
            ("::9/0", "[::9]", true),
            ("::9/0", "[::1]", false),
        ] {
            assert_eq!(NoProxy::new(list).covers(host), expected, "{list} {host}");
        }
    }

    #[test]
    fn the_environment_names_proxies_by_the_scheme_and_small_letters_come_first() {
        let proxies = |vars: &[(&str, &str)]| {
            let vars: Vec<(String, String)> =
                vars.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            Proxies::named(move |name| vars.iter().find(|(k, _)| k == name).map(|(_, v)| v.clone()))
        };
        let way = |vars: &[(&str, &str)], url: &str| {
            proxies(vars)
                .of(&url.parse().unwrap())
                .map(|proxy| proxy.host_str().unwrap().to_owned())
        };
        let two =
            [("HTTPS_PROXY", "big:1"), ("https_proxy", "http://small:1"), ("all_proxy", "all:1")];
        assert_eq!(way(&two, "https://a/").as_deref(), Some("small"));
        assert_eq!(way(&two, "http://a/").as_deref(), Some("all"));
        assert_eq!(
            way(&[("https_proxy", ""), ("HTTPS_PROXY", "big:1")], "https://a/").as_deref(),
            Some("big")
        );
        let except = [("HTTPS_PROXY", "big:1"), ("NO_PROXY", "b"), ("no_proxy", ".a")];
        assert_eq!(way(&except, "https://x.a/"), None);
        assert_eq!(way(&except, "https://b/").as_deref(), Some("big"));
        let shown = format!("{:?}", proxies(&[("https_proxy", "http://u:s3cr3t@proxy:1")]));
        assert!(!shown.contains("s3cr3t") && shown.contains("proxy:1"), "{shown}");
    }
}
