//! Modules from http(s) and file locations.
//!
//! Locations are asked in turn; what one brought before it broke is taken up by the next. Nothing of it
//! can be verified before the end, since a plain file carries no tree. So a mixture that does not match
//! says nothing about who lied: from then on each location has to bring the whole by itself, beginning
//! with the last.

mod error;
mod file;
mod http;
mod limits;

pub use error::{LocationError, LocationFailure};
pub use limits::LocationLimits;

use aura_protocol_core::ModuleRef;
use bytes::Bytes;
use tokio::time::sleep;

use self::http::{Client, Place};
use super::{ModuleError, PartialModule, Progress};

/// Fetches modules from the locations that their references name, and contacts nobody else: no proxy,
/// no cookies, no credentials, no connection kept.
#[derive(Debug, Default)]
pub struct Locations {
    limits: LocationLimits,
    client: Client,
}

/// Whether this is a location that devices would try.
#[must_use]
pub fn is_location(url: &str) -> bool {
    Place::of(url).is_some()
}

impl Locations {
    /// With these limits.
    #[must_use]
    pub fn new(limits: LocationLimits) -> Self {
        Self { limits, client: Client::default() }
    }

    /// Fetches what `partial` lacks of a module. The bytes that are returned match length and both
    /// digests of `module`; what is left in `partial` after an error is for the next to take up.
    ///
    /// # Errors
    /// `NoLocation`, `LocationsFailed` with what each location did, `ReferenceOutOfLimits`,
    /// `PartialOfAnother`, `Sha256Mismatch`.
    pub async fn fetch(
        &self,
        module: &ModuleRef,
        partial: &mut PartialModule,
        progress: impl FnMut(Progress) + Send,
    ) -> Result<Bytes, ModuleError> {
        let digest = module.digest;
        if !module.is_within_limits() {
            return Err(ModuleError::ReferenceOutOfLimits { digest });
        }
        partial.check_belongs_to(module)?;
        if partial.is_complete()
            && let Ok(whole) = partial.take_whole(module)
        {
            return Ok(whole);
        }
        if module.urls.is_empty() {
            return Err(ModuleError::NoLocation { digest });
        }
        let brought = if partial.is_verified() { Brought::Nothing } else { Brought::Mixture };
        let mut fetch = Fetch {
            module,
            limits: &self.limits,
            client: &self.client,
            wire_bytes: 0,
            brought,
            alone: false,
            progress,
        };
        fetch.run(partial).await
    }
}

/// Who brought what did not verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Brought {
    Nothing,
    /// One location, by its place.
    One(usize),
    /// Several, or an earlier run.
    Mixture,
}

impl Brought {
    fn and(self, location: usize) -> Self {
        match self {
            Self::Nothing => Self::One(location),
            Self::One(other) if other == location => self,
            Self::One(_) | Self::Mixture => Self::Mixture,
        }
    }
}

/// A location that may still give the module.
struct Willing {
    location: usize,
    tried: u32,
    /// Whether its last attempt brought nothing.
    barren: bool,
}

impl Willing {
    const fn new(location: usize) -> Self {
        Self { location, tried: 0, barren: false }
    }

    /// Whether it is tried again after this attempt. Twice nothing is enough.
    fn goes_on(&mut self, error: &LocationError, brought_some: bool) -> bool {
        let is_over = self.barren && !brought_some;
        self.tried += 1;
        self.barren = !brought_some;
        error.may_pass() && !is_over
    }
}

/// One fetch under way.
struct Fetch<'a, P> {
    module: &'a ModuleRef,
    limits: &'a LocationLimits,
    client: &'a Client,
    /// What came over the wire in all attempts.
    wire_bytes: u64,
    brought: Brought,
    /// Set once a mixture did not match.
    alone: bool,
    progress: P,
}

impl<P: FnMut(Progress) + Send> Fetch<'_, P> {
    async fn run(&mut self, partial: &mut PartialModule) -> Result<Bytes, ModuleError> {
        let mut failures = Vec::new();
        let mut willing: Vec<Willing> = (0..self.module.urls.len()).map(Willing::new).collect();
        let mut turn = 0;
        for _ in 0..self.limits.attempts_max {
            let Some(next) = willing.get_mut(turn) else { break };
            let location = next.location;
            let Some(url) = self.module.urls.get(location) else { break };
            if 0 < next.tried {
                sleep(self.limits.pause(next.tried)).await;
            }
            let held = partial.held_bytes();
            let error = match self.attempt(location, url, partial).await {
                Ok(()) => match partial.take_whole(self.module) {
                    Ok(whole) => return Ok(whole),
                    Err(ModuleError::PartialDamaged { .. }) => LocationError::Mismatch,
                    Err(other) => return Err(other),
                },
                Err(error) => error,
            };
            tracing::debug!("{url} gives no module: {error}");
            let mismatch = error == LocationError::Mismatch;
            if mismatch && self.brought == Brought::Mixture {
                // The same once more, alone.
                self.alone = true;
            } else if next.goes_on(&error, held < partial.held_bytes()) {
                turn += 1;
            } else {
                willing.remove(turn);
            }
            if mismatch {
                self.brought = Brought::Nothing;
            }
            if willing.len() <= turn {
                turn = 0;
            }
            let spent = error == LocationError::BudgetSpent;
            failures.push(LocationFailure { url: url.clone(), error });
            if spent {
                break;
            }
        }
        Err(ModuleError::LocationsFailed { digest: self.module.digest, failures })
    }

    /// Brings what is missing from one location.
    async fn attempt(
        &mut self,
        location: usize,
        url: &str,
        partial: &mut PartialModule,
    ) -> Result<(), LocationError> {
        let place = Place::of(url).ok_or(LocationError::Unsupported)?;
        if self.limits.wire_bytes_max(self.module.size) <= self.wire_bytes {
            return Err(LocationError::BudgetSpent);
        }
        if self.alone && self.brought != Brought::One(location) {
            partial.restart();
            self.brought = Brought::Nothing;
        }
        match place {
            Place::File(path) => {
                let bytes = file::read(path, self.module.size).await?;
                partial.restart();
                self.brought = Brought::One(location);
                partial.append(bytes.get(partial.bytes().len()..).unwrap_or_default());
                self.report(partial);
                Ok(())
            }
            Place::Http(place) => self.download(location, place, partial).await,
        }
    }

    async fn download(
        &mut self,
        location: usize,
        place: http::Address,
        partial: &mut PartialModule,
    ) -> Result<(), LocationError> {
        let size = self.module.size;
        let (mut body, begins) =
            self.client.get(place, partial.held_bytes(), size, self.limits).await?;
        if begins < partial.held_bytes() {
            partial.restart();
            self.brought = Brought::Nothing;
        }
        // What verified stays; a server that begins before it says it again.
        let mut skip = (partial.held_bytes() - begins) as usize;
        while let Some(chunk) = body.next(partial.held_bytes()).await? {
            self.wire_bytes += chunk.len() as u64;
            let fresh = chunk.get(skip.min(chunk.len())..).unwrap_or_default();
            skip -= chunk.len() - fresh.len();
            if fresh.is_empty() {
                continue;
            }
            let missing = (size - partial.held_bytes()) as usize;
            partial.append(fresh.get(..missing.min(fresh.len())).unwrap_or_default());
            self.brought = self.brought.and(location);
            self.report(partial);
            // What comes after the last byte is not looked at: the whole matches or it does not.
            if partial.is_complete() {
                return Ok(());
            }
        }
        Err(LocationError::Cut { at_byte: partial.held_bytes() })
    }

    fn report(&mut self, partial: &PartialModule) {
        let (held_bytes, total_bytes) = (partial.held_bytes(), self.module.size);
        (self.progress)(Progress { held_bytes, total_bytes });
    }
}
