//! A migration module as a lens.

use aura_protocol_core::{
    Digest, RecordKey,
    abi::{Envelope, Lens, Op, Reply},
    limits::RECORD_FUEL_MAX,
    migration::{Migrated, Migrator, MigratorError, RecordBody},
};

use crate::{CallError, ModuleHost};

/// The migration module `digest`, with what its distributor published for this migration.
///
/// Metered per record. A record on which the module traps is quarantined, like one that it refuses:
/// otherwise whoever can write one record could stop every upgrade. The trap is in the module's own
/// metering, so every device quarantines the same records.
pub struct ModuleMigrator<'a> {
    host: &'a ModuleHost,
    digest: Digest,
    context: Vec<u8>,
}

impl<'a> ModuleMigrator<'a> {
    /// The lens of a prepared module; `context` is empty where nothing was published.
    #[must_use]
    pub const fn new(host: &'a ModuleHost, digest: Digest, context: Vec<u8>) -> Self {
        Self { host, digest, context }
    }

    fn migrate(&self, lens: Lens) -> Result<Reply, CallError> {
        let envelope = Envelope::new(Op::Migrate { lens, context: self.context.clone() });
        self.host.call(self.digest, &envelope, RECORD_FUEL_MAX).map(|(reply, _)| reply)
    }
}

impl Migrator for ModuleMigrator<'_> {
    fn forward(&self, record: &RecordBody) -> Result<Migrated, MigratorError> {
        match self.migrate(Lens::Forward { record: record.clone() }) {
            Ok(Reply::Forward(migrated)) => Ok(migrated),
            // What a module says of one record concerns that record, as a trap on it does.
            Ok(Reply::Failed(error)) => {
                Ok(Migrated::Quarantine { reason: format!("the migration refuses it: {error}") })
            }
            Ok(_) => Err(failed("the module is no migration")),
            Err(CallError::Trapped(trapped)) => {
                let reason = format!("the migration failed on it: {trapped} ({})", trapped.code());
                Ok(Migrated::Quarantine { reason })
            }
            Err(error) => Err(failed(error)),
        }
    }

    fn backward(
        &self,
        origin: &RecordKey,
        original: Option<&[u8]>,
        current: &[RecordBody],
    ) -> Result<RecordBody, MigratorError> {
        let lens = Lens::Backward {
            origin: origin.clone(),
            original: original.map(<[u8]>::to_vec),
            current: current.to_vec(),
        };
        match self.migrate(lens).map_err(failed)? {
            Reply::Backward(record) => Ok(record),
            Reply::Failed(error) => Err(failed(error)),
            _ => Err(failed("the module is no migration")),
        }
    }
}

fn failed(reason: impl ToString) -> MigratorError {
    MigratorError { reason: reason.to_string() }
}
