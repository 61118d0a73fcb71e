//! Names: known, unique, and such that the generated items have names of their own.

use crate::{error::Errors, model::Session};

pub(super) fn check(_session: &Session, _errors: &mut Errors) {}
