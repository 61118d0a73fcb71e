//! An http(s) server as a location. The only file that names `reqwest`, and the TLS below it.

use std::{
    error::Error,
    path::PathBuf,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use reqwest::{
    Response, StatusCode, Url,
    header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, RANGE},
    redirect::{Attempt, Policy},
};
use rustls::{ClientConfig, RootCertStore, crypto::CryptoProvider};
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::time::timeout;

use super::{LocationError, LocationLimits};
use crate::modules::pace::Pace;

/// What is asked over http(s).
pub(super) struct Address(Url);

/// Where a location lies.
pub(super) enum Place {
    Http(Address),
    File(PathBuf),
}

impl Place {
    pub(super) fn of(url: &str) -> Option<Self> {
        let url = Url::parse(url).ok()?;
        match url.scheme() {
            "http" | "https" if url.has_host() => Some(Self::Http(Address(url))),
            "file" => url.to_file_path().ok().map(Self::File),
            _ => None,
        }
    }
}

/// Asks servers. Made when it is first used: it reads the system's certificates.
#[derive(Debug, Default)]
pub(super) struct Client(OnceLock<Result<reqwest::Client, String>>);

impl Client {
    /// Asks for the module from byte `from` on; gives the body, and where it begins.
    pub(super) async fn get<'a>(
        &self,
        Address(url): Address,
        from: u32,
        size: u32,
        limits: &'a LocationLimits,
    ) -> Result<(Body<'a>, u32), LocationError> {
        let client = self.0.get_or_init(|| client(limits.redirects_max));
        let client = client.as_ref().map_err(|reason| unreachable(reason.clone()))?;
        let mut request = client.get(url).header(ACCEPT_ENCODING, "identity");
        if 0 < from {
            request = request.header(RANGE, format!("bytes={from}-"));
        }
        let answer = match timeout(limits.answer_timeout, request.send()).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) if error.is_redirect() => return Err(LocationError::Redirected),
            Ok(Err(error)) => return Err(unreachable(with_causes(&error))),
            Err(_) => return Err(unreachable("it took too long".to_owned())),
        };
        let begins = check_head(&answer, from, size)?;
        Ok((Body { answer, pace: Pace::new(&limits.pace) }, begins))
    }
}

fn unreachable(reason: String) -> LocationError {
    LocationError::Unreachable { reason }
}

fn client(redirects_max: usize) -> Result<reqwest::Client, String> {
    let policy = Policy::custom(move |attempt| follow(attempt, redirects_max));
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(tls()?)
        .redirect(policy)
        .referer(false)
        .no_proxy()
        .pool_max_idle_per_host(0);
    client.build().map_err(|error| with_causes(&error))
}

/// The system's own roots. A machine without any can still be served over plain http: what arrives is
/// checked against the digest in any case.
fn tls() -> Result<ClientConfig, String> {
    let ring = || -> Arc<CryptoProvider> { Arc::new(rustls::crypto::ring::default_provider()) };
    let versions = || {
        ClientConfig::builder_with_provider(ring())
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())
    };
    match versions()?.with_platform_verifier() {
        Ok(verified) => Ok(verified.with_no_client_auth()),
        Err(error) => {
            tracing::warn!("no https location can be reached: {error}");
            Ok(versions()?.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
        }
    }
}

fn follow(attempt: Attempt<'_>, redirects_max: usize) -> reqwest::redirect::Action {
    let came_protected = attempt.previous().last().is_some_and(|it| it.scheme() == "https");
    if redirects_max < attempt.previous().len() {
        return attempt.error("redirected too often");
    }
    if came_protected && attempt.url().scheme() != "https" {
        return attempt.error("redirected to an unprotected place");
    }
    attempt.follow()
}

/// Checks everything that the head says, before a byte of the body is read; gives where it begins.
fn check_head(answer: &Response, from: u32, size: u32) -> Result<u32, LocationError> {
    let begins = match answer.status() {
        StatusCode::OK => 0,
        StatusCode::PARTIAL_CONTENT if 0 < from => {
            let asked = [
                format!("bytes {from}-{}/{size}", size - 1),
                format!("bytes {from}-{}/*", size - 1),
            ];
            let given = answer.headers().get(CONTENT_RANGE);
            if !given.is_some_and(|given| asked.iter().any(|it| given == it)) {
                return Err(LocationError::WrongRange);
            }
            from
        }
        other => return Err(LocationError::Status { status: other.as_u16() }),
    };
    if answer.headers().get(CONTENT_ENCODING).is_some_and(|it| it != "identity") {
        return Err(LocationError::Coded);
    }
    let given = answer.headers().get(CONTENT_LENGTH);
    let length: Option<u64> = given.and_then(|it| it.to_str().ok()?.parse().ok());
    match length {
        Some(length) if u64::from(size - begins) != length => Err(LocationError::WrongLength {
            declared: size,
            announced: length.saturating_add(begins.into()),
        }),
        _ => Ok(begins),
    }
}

/// What follows the head.
pub(super) struct Body<'a> {
    answer: Response,
    pace: Pace<'a>,
}

impl Body<'_> {
    /// The next bytes; none at the end. `held` is what is here, for the error.
    pub(super) async fn next(&mut self, held: u32) -> Result<Option<Bytes>, LocationError> {
        let bytes = |it: &reqwest::Result<Option<Bytes>>| match it {
            Ok(Some(chunk)) => chunk.len(),
            _ => 0,
        };
        let chunk = self.pace.next(self.answer.chunk(), bytes).await?;
        chunk.map_err(|error| {
            tracing::debug!("a download broke: {}", with_causes(&error));
            LocationError::Cut { at_byte: held }
        })
    }
}

/// An error with what it rests on; reqwest's own words say little.
fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
