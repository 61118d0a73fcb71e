//! Who plays which role.

use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::Ident;

use super::{Context, names};

/// A struct with a field for each declared role. A type without roles has the plain cast.
pub(super) fn items(context: &Context<'_>) -> TokenStream {
    let roles = &context.session.roles;
    if roles.is_empty() {
        return quote! {
            /// Who plays which role: there are none beside the opener and everybody.
            pub type Roles = __aura::Cast;
        };
    }
    let field = |name: &Ident| {
        let text = names::screaming(&name.to_string()).to_lowercase();
        // A role may be called like a word of the language.
        syn::parse_str::<Ident>(&text).map_or_else(
            |_| Ident::new_raw(&text, Span::call_site()),
            |it| Ident::new(&it.to_string(), name.span()),
        )
    };
    let fields = roles.iter().map(|it| {
        let name = field(&it.name);
        let doc = format!(" The role `{}`.", it.name);
        let members = if it.many { quote!(__aura::Members) } else { quote!(__aura::Dev) };
        quote!(#[doc = #doc] pub #name: #members)
    });
    let values = roles.iter().map(|it| {
        let name = field(&it.name);
        if it.many { quote!(roles.#name) } else { quote!(__aura::Members::one(roles.#name)) }
    });
    quote! {
        /// Who plays which role.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct Roles {
            /// All participants, and the quorum among them.
            pub all: __aura::Members,
            #(#fields,)*
        }

        impl ::core::convert::From<Roles> for __aura::Cast {
            fn from(roles: Roles) -> Self {
                Self { all: roles.all, roles: __aura::rt::vec![#(#values),*] }
            }
        }
    }
}
