//! The account ledger: signed units, certificates, fold, sync and store.
