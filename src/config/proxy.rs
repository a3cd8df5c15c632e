//! Proxies: the one that is given, or those of the environment as Node's `fetch` reads them under `NODE_USE_ENV_PROXY`.

use std::net::IpAddr;

use serde::Deserialize;
use url::{Host, Url};

use super::Secret;
use crate::error::Error;

/// What the environment says, where it is to be obeyed. Holds credentials: never shown.
#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[allow(missing_docs, clippy::struct_field_names, reason = "each is the variable of its name")]
pub struct EnvironmentProxies {
    pub https_proxy: Option<String>,
    pub http_proxy: Option<String>,
    pub no_proxy: Option<String>,
}

/// Which proxy leads where.
pub(super) struct Proxies {
    https: Option<Secret<Url>>,
    http: Option<Secret<Url>>,
    exceptions: Vec<Exception>,
}

impl Proxies {
    /// What is given as an option wins over the environment.
    pub(super) fn new(given: Option<&str>, environment: Option<&EnvironmentProxies>) -> Result<Self, Error> {
        if let Some(given) = given {
            let proxy = Some(option(given)?);
            return Ok(Self { https: proxy.clone(), http: proxy, exceptions: Vec::new() });
        }
        let Some(environment) = environment else {
            return Ok(Self { https: None, http: None, exceptions: Vec::new() });
        };
        let http = variable("HTTP_PROXY", environment.http_proxy.as_deref())?;
        let https = variable("HTTPS_PROXY", environment.https_proxy.as_deref())?.or_else(|| http.clone());
        let list = environment.no_proxy.as_deref().unwrap_or_default();
        let entries = list.split(|character: char| character == ',' || character.is_whitespace());
        let exceptions = entries.filter(|entry| !entry.is_empty()).map(Exception::parse).collect();
        Ok(Self { https, http, exceptions })
    }

    /// The proxy on the way to `url`; `None`: straight.
    pub(super) fn to(&self, url: &Url) -> Option<Secret<Url>> {
        let proxy = if url.scheme() == "https" { &self.https } else { &self.http };
        let is_exception = self.exceptions.iter().any(|exception| exception.holds_for(url));
        proxy.clone().filter(|_| !is_exception)
    }
}

fn option(text: &str) -> Result<Secret<Url>, Error> {
    let limit = "an http or https URL such as http://proxy.internal:3128, or 'environment'";
    parse(text).ok_or_else(|| Error::option("proxy", limit))
}

fn variable(name: &'static str, text: Option<&str>) -> Result<Option<Secret<Url>>, Error> {
    let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(None) };
    // Many tools take `proxy.internal:3128`.
    let proxy = if text.contains("://") { parse(text) } else { parse(&format!("http://{text}")) };
    let limit = "an http or https URL such as http://proxy.internal:3128";
    proxy.map(Some).ok_or_else(|| Error::option(name, limit))
}

fn parse(text: &str) -> Option<Secret<Url>> {
    let url = Url::parse(text).ok()?;
    (matches!(url.scheme(), "http" | "https") && url.host().is_some()).then(|| Secret::new(url))
}

/// One entry of `NO_PROXY`.
#[derive(Debug, PartialEq, Eq)]
struct Exception {
    hosts: Hosts,
    port: Option<u16>,
}

#[derive(Debug, PartialEq, Eq)]
enum Hosts {
    Any,
    /// A name and all below it.
    Domain(String),
    /// From and to, both included; one address is a range too.
    Range(IpAddr, IpAddr),
    /// An address and how many of its bits count.
    Network(IpAddr, u32),
}

impl Exception {
    /// `*`, `example.com`, `.example.com` and `*.example.com` are what they look like; with or without `:port`. Addresses
    /// alone, as `10.0.0.1-10.0.0.9` or as `10.0.0.0/8`; IPv6 with brackets or without.
    fn parse(entry: &str) -> Self {
        let (host, port) = split_port(entry);
        let hosts = if host == "*" {
            Hosts::Any
        } else if let Some(address) = address(host) {
            Hosts::Range(address, address)
        } else if let Some(range) = range(host) {
            range
        } else if let Some(network) = network(host) {
            network
        } else {
            let name = host.strip_prefix('*').unwrap_or(host);
            let name = name.strip_prefix('.').unwrap_or(name);
            Hosts::Domain(name.trim_end_matches('.').to_ascii_lowercase())
        };
        Self { hosts, port }
    }

    fn holds_for(&self, url: &Url) -> bool {
        if self.port.is_some() && self.port != url.port_or_known_default() {
            return false;
        }
        match (&self.hosts, url.host()) {
            (Hosts::Any, _) => true,
            (Hosts::Domain(domain), Some(Host::Domain(name))) => {
                let name = name.trim_end_matches('.');
                name == domain || name.strip_suffix(domain.as_str()).is_some_and(|rest| rest.ends_with('.'))
            }
            (hosts, Some(Host::Ipv4(address))) => hosts.has(IpAddr::V4(address)),
            (hosts, Some(Host::Ipv6(address))) => hosts.has(IpAddr::V6(address)),
            (Hosts::Domain(_) | Hosts::Range(..) | Hosts::Network(..), _) => false,
        }
    }
}

impl Hosts {
    fn has(&self, address: IpAddr) -> bool {
        match *self {
            Self::Range(from, to) => from.is_ipv4() == address.is_ipv4() && from <= address && address <= to,
            Self::Network(network, bits) => {
                network.is_ipv4() == address.is_ipv4() && prefix(network, bits) == prefix(address, bits)
            }
            Self::Any | Self::Domain(_) => false,
        }
    }
}

/// `host:port`; an IPv6 address has its port behind brackets.
fn split_port(entry: &str) -> (&str, Option<u16>) {
    match entry.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => match port.parse() {
            Ok(port) => (host, Some(port)),
            Err(_) => (entry, None),
        },
        _ => (entry, None),
    }
}

fn address(text: &str) -> Option<IpAddr> {
    let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    inner.unwrap_or(text).parse().ok()
}

fn range(text: &str) -> Option<Hosts> {
    let (from, to) = text.split_once('-')?;
    Some(Hosts::Range(address(from)?, address(to)?))
}

fn network(text: &str) -> Option<Hosts> {
    let (network, bits) = text.split_once('/')?;
    let (network, bits) = (address(network)?, bits.parse().ok()?);
    (bits <= if network.is_ipv4() { 32 } else { 128 }).then_some(Hosts::Network(network, bits))
}

/// The leading bits of an address.
fn prefix(address: IpAddr, bits: u32) -> u128 {
    let (value, length) = match address {
        IpAddr::V4(address) => (u128::from(u32::from(address)), 32),
        IpAddr::V6(address) => (u128::from(address), 128),
    };
    value.checked_shr(length - bits).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(https: &str, http: &str, no: &str) -> EnvironmentProxies {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        EnvironmentProxies { https_proxy: some(https), http_proxy: some(http), no_proxy: some(no) }
    }

    fn way(given: Option<&str>, environment: &EnvironmentProxies, url: &str) -> Option<String> {
        let proxies = Proxies::new(given, Some(environment)).unwrap();
        proxies.to(&Url::parse(url).unwrap()).map(|proxy| proxy.expose().host_str().unwrap().to_owned())
    }

    #[test]
    fn each_scheme_has_its_variable_and_the_option_wins() {
        let both = environment("http://secure:1", "http://plain:1", "*");
        assert_eq!(way(Some("http://given:1"), &both, "https://a.example").as_deref(), Some("given"));
        let both = environment("http://secure:1", "http://plain:1", "");
        assert_eq!(way(None, &both, "https://a.example").as_deref(), Some("secure"));
        assert_eq!(way(None, &both, "http://a.example").as_deref(), Some("plain"));
        // As in Node's fetch.
        let plain = environment("", "plain:1", "");
        assert_eq!(way(None, &plain, "https://a.example").as_deref(), Some("plain"));
        let secure = environment("https://user:pass@secure:1", "", "");
        assert_eq!(way(None, &secure, "http://a.example"), None);
    }

    #[test]
    fn what_is_no_proxy_is_named_and_not_quoted() {
        for bad in ["socks5://secret@proxy:1", "ftp://secret", "http://", "secret proxy"] {
            let error = Proxies::new(None, Some(&environment(bad, "", ""))).err().unwrap();
            assert_eq!(error.field(), Some("HTTPS_PROXY"), "{bad}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn exceptions_have_many_forms() {
        let cases: &[(&str, &[&str], &[&str])] = &[
            ("*", &["https://a.example", "https://10.0.0.1"], &[]),
            (
                "a.example",
                &["https://a.example", "https://A.example:8443", "https://b.a.example", "https://a.example."],
                &["https://ba.example", "https://example", "https://a.example.com"],
            ),
            (".a.example", &["https://a.example", "https://c.b.a.example"], &["https://ba.example"]),
            ("*.a.example", &["https://a.example", "https://b.a.example"], &["https://ba.example"]),
            (
                "a.example:443",
                &["https://a.example", "https://b.a.example:443"],
                &["https://a.example:8443", "http://a.example"],
            ),
            ("a.example:80", &["http://a.example"], &["https://a.example"]),
            ("b.example, ,a.example", &["https://a.example", "https://b.example"], &["https://c.example"]),
            ("b.example a.example\tc.example", &["https://a.example", "https://c.example"], &[]),
            ("127.0.0.1", &["http://127.0.0.1:9"], &["http://127.0.0.2", "http://localhost"]),
            ("127.0.0.1:9", &["http://127.0.0.1:9"], &["http://127.0.0.1:8"]),
            (
                "10.0.0.9-10.0.1.2",
                &["http://10.0.0.9", "http://10.0.1.0", "http://10.0.1.2"],
                &["http://10.0.1.3"],
            ),
            ("10.0.0.0/8", &["http://10.255.0.1"], &["http://11.0.0.1"]),
            ("0.0.0.0/0", &["http://11.0.0.1"], &["http://[::1]", "http://a.example"]),
            ("[::1]", &["http://[::1]:9"], &["http://[::2]", "http://127.0.0.1"]),
            ("[::1]:9", &["http://[::1]:9"], &["http://[::1]:8"]),
            ("::1", &["http://[::1]:9"], &["http://[::2]"]),
            ("fe80::/10", &["http://[febf::1]"], &["http://[fec0::1]"]),
            ("10.0.0.0/33", &[], &["http://10.0.0.0"]),
            ("localhost", &["http://localhost:9", "http://a.localhost"], &["http://127.0.0.1"]),
        ];
        for (list, straight, proxied) in cases {
            let environment = environment("proxy:1", "proxy:1", list);
            for url in *straight {
                assert_eq!(way(None, &environment, url), None, "{list}: {url}");
            }
            for url in *proxied {
                assert_eq!(way(None, &environment, url).as_deref(), Some("proxy"), "{list}: {url}");
            }
        }
    }
}
