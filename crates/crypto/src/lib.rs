//! Device keys, strict signatures and the registry of signature domains.
