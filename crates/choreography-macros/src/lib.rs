//! The macros of `aura-choreography`.
use proc_macro::TokenStream;
/// x
#[proc_macro] pub fn session(t: TokenStream) -> TokenStream { t }
/// x
#[proc_macro_attribute] pub fn choreography(_: TokenStream, t: TokenStream) -> TokenStream { t }
/// x
#[proc_macro_derive(Payload)] pub fn payload(_: TokenStream) -> TokenStream { TokenStream::new() }
