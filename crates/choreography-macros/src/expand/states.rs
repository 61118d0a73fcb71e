//! A type for every state, with the one step that leaves it.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::Ident;

use super::{
    Context, choice, decide,
    flow::{Next, Site},
    names, part, plain,
};
use crate::model::Kind;

/// What the method of a step is made of.
pub(super) struct Method {
    /// The step's own documentation, where the author wrote none.
    pub(super) doc: &'static str,
    /// Type parameters and arguments after `self`.
    pub(super) signature: TokenStream,
    /// What it returns, `Stop` aside.
    pub(super) output: TokenStream,
    /// Where clauses.
    pub(super) bounds: TokenStream,
    /// Constants that the statements use.
    pub(super) consts: TokenStream,
    /// Statements over `cx`, then the output.
    pub(super) body: TokenStream,
}

pub(super) fn items(context: &Context<'_>, sites: &[Site<'_>]) -> TokenStream {
    let session = &context.session.name;
    let states = sites.iter().map(|it| state(&it.state));
    let methods = sites.iter().map(|it| method(context, it));
    let ready = state(&Ident::new("Ready", Span::call_site()));
    let choices = sites.iter().filter_map(|it| match &it.step.kind {
        Kind::Choice(choice) => Some(choice::items(context, it, choice)),
        _ => None,
    });
    let what = format!(" The end of `{session}`: a value that all who get here know alike.");
    quote! {
        #(#states)*
        #ready
        #(#choices)*
        #(#methods)*

        impl Ready {
            /// Ends the session with a value that all its devices know.
            pub fn finish<T>(self, value: __aura::Pub<T>) -> Finished<T> {
                Finished { cx: self.cx, value }
            }
        }

        #[doc = #what]
        #[must_use = "a session must be run to its end"]
        pub struct Finished<T> {
            cx: __aura::Cx,
            value: __aura::Pub<T>,
        }

        impl<T> Finished<T> {
            #[doc(hidden)]
            #[must_use]
            pub fn into_parts(self) -> (__aura::Cx, __aura::Pub<T>) {
                (self.cx, self.value)
            }
        }

        #[doc(hidden)]
        pub fn start(cx: __aura::Cx) -> Start {
            Start { cx: cx.with_ttl(TTL) }
        }
    }
}

/// Errors about generated items point at the author's step, and lints know that it is not their text.
fn at(token: &Ident) -> Span {
    Span::call_site().located_at(token.span())
}

fn state(name: &Ident) -> TokenStream {
    quote_spanned! {at(name)=>
        #[must_use = "a session must be run to its end"]
        pub struct #name {
            cx: __aura::Cx,
        }

        impl __aura::Steps for #name {
            fn cx(&self) -> &__aura::Cx {
                &self.cx
            }
        }
    }
}

fn method(context: &Context<'_>, site: &Site<'_>) -> TokenStream {
    let (state, op) = (&site.state, &site.step.op);
    let Method { doc, signature, output, bounds, consts, body } = match &site.step.kind {
        Kind::Decide(it) => decide::method(context, site, it),
        Kind::Choice(it) => choice::method(context, site, it),
        Kind::Sub(it) => part::method(context, site, it),
        plain => plain::method(context, site, plain),
    };
    let docs = if site.step.docs.is_empty() {
        quote!(#[doc = #doc])
    } else {
        let docs = &site.step.docs;
        quote!(#(#docs)*)
    };
    let marks = site.marks.iter().filter_map(|it| {
        let mark = context.facts.marks.get(&it.to_string())?;
        let (index, by) = (mark.index, names::role(mark.by));
        Some(quote!(cx.mark(#index, #by).await?;))
    });
    quote_spanned! {at(op)=>
        impl #state {
            #docs
            pub async fn #op #signature -> ::core::result::Result<#output, __aura::Stop> #bounds {
                #consts
                let mut cx = self.cx;
                #(#marks)*
                #body
            }
        }
    }
}

/// Statements that go back, if that is where something leads.
pub(super) fn go_back(context: &Context<'_>, next: &Next) -> TokenStream {
    let mark = next.back.as_ref().and_then(|it| context.facts.marks.get(&it.to_string()));
    mark.map_or_else(TokenStream::new, |mark| {
        let (index, by) = (mark.index, names::role(mark.by));
        quote!(cx.go_back(#index, #by)?;)
    })
}
