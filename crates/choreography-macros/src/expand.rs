//! The module that `session!` writes.

mod choice;
mod decide;
pub(crate) mod flow;
mod global;
mod labels;
pub(crate) mod names;
mod part;
mod plain;
mod roles;
mod states;

use proc_macro2::TokenStream;
use quote::quote;
use syn::Result;

use crate::{
    check::{Facts, check},
    model::Session,
};

/// What everything is written from.
pub(crate) struct Context<'a> {
    pub(crate) session: &'a Session,
    pub(crate) facts: &'a Facts,
}

/// Reads the text, checks it, and writes its module.
///
/// # Errors
/// Everything that is wrong with the text.
pub(crate) fn session(text: TokenStream) -> Result<TokenStream> {
    let session: Session = syn::parse2(text)?;
    let facts = check(&session)?;
    Ok(module(&Context { session: &session, facts: &facts }))
}

fn module(context: &Context<'_>) -> TokenStream {
    let Session { runtime, docs, vis, name, ttl, .. } = context.session;
    let ttl = names::option(ttl.as_ref());
    let sites = flow::sites(context.session);
    let labels = labels::items(context);
    let global = global::item(context);
    let roles = roles::items(context);
    let states = states::items(context, &sites);
    quote! {
        #(#docs)*
        #[allow(
            missing_docs,
            unused_imports,
            clippy::too_many_lines,
            clippy::type_complexity,
            reason = "written by `session!`"
        )]
        #vis mod #name {
            use super::*;
            use #runtime as __aura;

            #labels
            #global
            #roles
            const TTL: ::core::option::Option<u32> = #ttl;
            #states
        }
    }
}
