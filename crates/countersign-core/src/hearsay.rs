//! Headers in which a request says what only the gateway, or a proxy that it trusts, can know: where it came from, who was behind
//! its TLS, which path or method it had before. An upstream would believe them, so they are taken off.
//!
//! Compared with everything but letters and digits folded to `-`, as upstreams that see headers as variables read them.

use http::{HeaderMap, HeaderName};

/// Where it came from, and what it was. `Client-Cert` is RFC 9440.
const NAMES: [&str; 15] = [
    "cf-connecting-ip",
    "client-cert",
    "client-cert-chain",
    "fastly-client-ip",
    "forwarded",
    "remote-user",
    "true-client-ip",
    "x-arr-clientcert",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-envoy-external-address",
    "x-envoy-original-path",
    "x-real-ip",
    "x-remote-user",
    "x-rewrite-url",
];
const FAMILIES: [&str; 7] = ["ssl-client-", "x-amzn-mtls-", "x-client-cert", "x-client-verify", "x-forwarded-", "x-original-", "x-ssl-"];
/// Frameworks take the method from these, and it is the method of the request that was judged.
const METHODS: [&str; 3] = ["x-http-method", "x-http-method-override", "x-method-override"];

/// Takes them off. `keeps_method` says whether a header that names another method may stay.
pub fn strip(headers: &mut HeaderMap, keeps_method: impl Fn(&HeaderName) -> bool) {
    let unwanted = |name: &HeaderName| {
        let text = name.as_str();
        is_likely(text) && (is_hearsay(text) || (is_among(&METHODS, text) && !keeps_method(name)))
    };
    // Nearly no request has any of them.
    while let Some(name) = headers.keys().find(|name| unwanted(name)).cloned() {
        headers.remove(name);
    }
}

fn is_hearsay(name: &str) -> bool {
    is_among(&NAMES, name) || FAMILIES.iter().any(|family| name.get(..family.len()).is_some_and(|start| folds(start, family)))
}

/// Whether it begins as one of them does. Most names do not, and that is seen at once.
const fn is_likely(name: &str) -> bool {
    match name.as_bytes() {
        [b'x', _, third, ..] => matches!(third, b'a' | b'c' | b'e' | b'f' | b'h' | b'm' | b'o' | b'r' | b's'),
        [first, second, ..] => {
            matches!((first, second), (b'c', b'f' | b'l') | (b'f', b'a' | b'o') | (b'r', b'e') | (b's', b's') | (b't', b'r'))
        }
        _ => false,
    }
}

fn is_among(names: &[&str], name: &str) -> bool {
    names.iter().any(|known| known.len() == name.len() && folds(name, known))
}

/// Whether a name, which is in lower case, is this one once folded.
fn folds(name: &str, known: &str) -> bool {
    name.bytes().zip(known.bytes()).all(|(byte, known)| byte == known || (known == b'-' && !byte.is_ascii_alphanumeric()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn left(names: &[&'static str], keeps: bool) -> Vec<String> {
        let mut headers: HeaderMap =
            names.iter().map(|name| (name.parse::<HeaderName>().unwrap(), HeaderValue::from_static("x"))).collect();
        strip(&mut headers, |_| keeps);
        headers.keys().map(ToString::to_string).collect()
    }

    #[test]
    fn what_only_a_proxy_can_know_is_taken_off_however_it_is_spelled() {
        for name in [
            "Forwarded",
            "X-Real-IP",
            "x_real.ip",
            "X-Forwarded-For",
            "X-Forwarded-Client-Cert",
            "X.Forwarded.Client.Cert",
            "X_Forwarded_User",
            "X!Original!Uri",
            "X-Rewrite-URL",
            "True-Client-IP",
            "CF-Connecting-IP",
            "Remote-User",
            "X-SSL-Client-Verify",
            "SSL-Client-Cert",
            "Client-Cert",
            "X-Client-Cert-Chain",
        ] {
            assert_eq!(left(&[name, "accept"], true), ["accept"], "{name}");
        }
        for name in NAMES.into_iter().chain(METHODS) {
            for spelled in [name.to_owned(), name.replace('-', "_"), name.replace('-', ".")] {
                let headers = [(spelled.parse::<HeaderName>().unwrap(), HeaderValue::from_static("x"))];
                let mut headers: HeaderMap = headers.into_iter().collect();
                strip(&mut headers, |_| false);
                assert!(headers.is_empty(), "{spelled}");
            }
        }
        for family in FAMILIES {
            assert!(is_likely(family), "{family}");
        }
        let others = ["accept", "cookie", "x-ssl", "x-forwarded", "xforwarded-for", "client-certificate", "x-request-id", "server-timing"];
        assert_eq!(left(&others, false), others);
    }

    #[test]
    fn another_method_stays_only_where_it_may() {
        for name in ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "x_method_override"] {
            assert_eq!(left(&[name], false), Vec::<String>::new(), "{name}");
            assert_eq!(left(&[name], true), [name.to_ascii_lowercase()]);
        }
    }
}
