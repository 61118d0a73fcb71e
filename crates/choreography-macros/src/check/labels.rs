//! Messages: each has one use.

use crate::{error::Errors, model::Session};

pub(super) fn check(_session: &Session, _errors: &mut Errors) {}
