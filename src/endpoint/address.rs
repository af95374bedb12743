//! The text of an endpoint, as JavaScript asks about it; errors with a code.

use napi::Error;
use napi_derive::napi;
use rsipc_core::endpoint::{AddressError, Endpoint};

/// The code of an error.
pub struct Failure(pub(super) &'static str);

impl AsRef<str> for Failure {
    fn as_ref(&self) -> &str {
        self.0
    }
}

/// What may fail with a code.
pub(super) type Result<T> = std::result::Result<T, Error<Failure>>;

/// What a text stands for.
pub(super) fn parse(text: &str) -> Result<Endpoint> {
    let wrong = |error: AddressError| Error::new(Failure(error.code()), error.to_string());
    Endpoint::parse(text).map_err(wrong)
}

/// The scheme of an endpoint, and its host if it has one. Throws when the text is no endpoint.
#[napi(catch_unwind)]
pub fn parse_endpoint(endpoint: String) -> Result<Vec<String>> {
    let parsed = parse(&endpoint)?;
    let text = parsed.to_string();
    let scheme = text.split(':').next().unwrap_or_default().to_owned();
    Ok(match parsed {
        Endpoint::Tcp(host) | Endpoint::Tls(host) | Endpoint::Udp(host) => {
            vec![scheme, host.name.into(), host.port.to_string()]
        }
        _ => vec![scheme],
    })
}
