//! The macros of `aura-choreography`.
#![doc = include_str!("../README.md")]

mod check;
mod choreography;
mod error;
mod expand;
mod keeps;
mod model;
mod parse;
mod payload;
#[cfg(test)]
mod tests;

use proc_macro::TokenStream;

/// States of a session, as types, from the global text of what its devices say to each other.
///
/// The grammar is in the documentation of this crate.
#[proc_macro]
pub fn session(text: TokenStream) -> TokenStream {
    expand::session(text.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Makes a protocol of a linear `async fn` over the states that [`session!`] wrote.
///
/// `#[choreography(Name)]`, `#[choreography(pub Name, roles = function, crate = path)]`.
#[proc_macro_attribute]
pub fn choreography(arguments: TokenStream, function: TokenStream) -> TokenStream {
    choreography::expand(arguments.into(), function.into())
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}

/// Gives a struct or an enum its layout, so that it can be a message of a session.
///
/// `#[payload(crate = path)]` names the runtime where it is not `aura_choreography`.
#[proc_macro_derive(Payload, attributes(payload))]
pub fn payload(item: TokenStream) -> TokenStream {
    payload::expand(item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}
