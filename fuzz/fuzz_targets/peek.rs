//! Looking at the first bytes of a connection: whatever they are, nothing panics, pieces come to what
//! the whole comes to, and what is found lies within the bytes.
//!
//! The first byte of the input says what is looked for, the second how large the pieces are.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rsipc_core::endpoint::peek::{Found, Scan, Step, Want};

fn check(found: &Found<'_>, bytes: &[u8]) {
    if let Some(proxy) = &found.proxy {
        assert!(proxy.length <= bytes.len());
        assert_eq!(proxy.source.is_some(), proxy.destination.is_some());
    }
    if let Some(tls) = &found.tls {
        assert!(tls.length <= bytes.len());
        assert!(tls.server_name.as_deref().is_none_or(str::is_ascii));
    }
    if let Some(http) = &found.http {
        assert!(http.length <= bytes.len() && !http.method.is_empty() && !http.target.is_empty());
        for (name, value) in http.headers() {
            let name = str::from_utf8(name).unwrap();
            assert!(http.header(name).is_some() && !value.contains(&b'\r'));
        }
        for name in ["session", "", "a"] {
            let _ = http.cookie(name);
            let _ = http.query(name);
        }
    }
}

fuzz_target!(|input: &[u8]| {
    let [kind, size, bytes @ ..] = input else {
        return;
    };
    let want = [Want::Http, Want::Tls, Want::Proxy][usize::from(kind % 3)];
    let proxy = kind & 0x80 != 0;
    let whole = Scan::new(want, proxy).look(bytes);
    if let Step::Done(found) = &whole {
        check(found, bytes);
    }
    let mut scan = Scan::new(want, proxy);
    let mut end = 0;
    loop {
        match scan.look(&bytes[..end]) {
            Step::More(least) => {
                assert!(least > end);
                if end == bytes.len() {
                    assert!(matches!(whole, Step::More(_)));
                    return;
                }
            }
            // For another reason, perhaps.
            Step::No(_) => return assert!(matches!(whole, Step::No(_))),
            decided => return assert_eq!(decided, whole),
        }
        end = bytes.len().min(end + 1 + usize::from(*size));
    }
});
