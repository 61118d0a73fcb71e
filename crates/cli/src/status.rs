//! `aura status`: what the device is, runs and knows.

use aura_agent::{
    AgentError,
    api::{Command, Response},
    offline,
};

use crate::{ask, context::Context};

/// Runs the command.
pub async fn run(context: &Context) -> Result<(), AgentError> {
    let status = ask::running_or_stored(&context.store, &Command::Status, |store| {
        Ok(Response::Status(Box::new(offline::status(store)?)))
    });
    context.output.object(&status.await?)
}
