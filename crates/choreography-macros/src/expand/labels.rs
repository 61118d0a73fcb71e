//! Labels: a constant each, and what they may carry.

use proc_macro2::TokenStream;
use quote::quote;

use super::{Context, names};
use crate::{
    check::Source,
    model::{Kind, Sub, all_steps},
};

/// One label of this session itself.
pub(super) struct Own<'a> {
    pub(super) docs: &'a [syn::Attribute],
    pub(super) name: syn::Ident,
    pub(super) payload: TokenStream,
    /// Whether each is for one device.
    pub(super) is_scattered: bool,
    /// Whether it is not declared, but follows from a certified decision.
    pub(super) is_vote: bool,
}

impl Context<'_> {
    /// The declared labels, then the votes on certified decisions.
    pub(super) fn labels(&self) -> Vec<Own<'_>> {
        let steps = all_steps(&self.session.steps);
        let scattered = |name: &syn::Ident| {
            steps.iter().any(|it| matches!(&it.kind, Kind::Scatter(it) if it.label == *name))
        };
        let declared = self.session.labels.iter().map(|it| {
            let payload = &it.payload;
            Own {
                docs: &it.docs,
                name: it.name.clone(),
                payload: quote!(#payload),
                is_scattered: scattered(&it.name),
                is_vote: false,
            }
        });
        let votes = steps.iter().filter_map(|it| match &it.kind {
            Kind::Decide(decide) if decide.certified => {
                let payload = self.payload(&decide.yes);
                Some(Own {
                    docs: &[],
                    name: names::vote(&decide.yes),
                    payload: quote!(::core::result::Result<#payload, __aura::Reason>),
                    is_scattered: false,
                    is_vote: true,
                })
            }
            _ => None,
        });
        declared.chain(votes).collect()
    }

    /// The parts, in the order of the text.
    pub(super) fn parts(&self) -> Vec<(&syn::Ident, &Sub)> {
        let steps = all_steps(&self.session.steps).into_iter();
        steps
            .filter_map(|it| match &it.kind {
                Kind::Sub(sub) => Some((&it.op, &**sub)),
                _ => None,
            })
            .collect()
    }
}

pub(super) fn items(context: &Context<'_>) -> TokenStream {
    let labels = context.labels();
    let own = labels.len() as u16;
    let consts = labels.iter().enumerate().map(|(index, it)| {
        let (docs, name, index) = (it.docs, names::label(&it.name), index as u16);
        quote! {
            #(#docs)*
            pub const #name: __aura::Label = __aura::Label(#index);
        }
    });
    let parts = context.parts();
    let mut end = quote!(#own);
    let bases = parts.iter().map(|(op, sub)| {
        let (base, session) = (names::base(op), &sub.session);
        let begin = std::mem::replace(&mut end, quote!(#base + #session::LABELS));
        quote!(const #base: u16 = #begin;)
    });
    let bases: TokenStream = bases.collect();
    let accepts = accepts(&labels, &parts);
    quote! {
        #(#consts)*
        #bases
        /// How many labels there are, those of parts included.
        pub const LABELS: u16 = #end;
        const _: () = assert!(LABELS <= __aura::LABELS_MAX, "a session has at most 128 labels, those of its parts included");
        #accepts
    }
}

fn accepts(labels: &[Own<'_>], parts: &[(&syn::Ident, &Sub)]) -> TokenStream {
    let own = labels.iter().map(|it| {
        let (label, payload) = (names::label(&it.name), &it.payload);
        let payload =
            if it.is_scattered { quote!((__aura::Dev, #payload)) } else { quote!(#payload) };
        quote!(#label => __aura::rt::is::<#payload>(body),)
    });
    let inner = parts.iter().map(|(op, sub)| {
        let (base, session) = (names::base(op), &sub.session);
        quote! {
            __aura::Label(it) if #base <= it && it - #base < #session::LABELS => {
                #session::accepts(__aura::Label(it - #base), body)
            }
        }
    });
    quote! {
        /// Whether `body` is what `label` may carry.
        #[must_use]
        pub fn accepts(label: __aura::Label, body: &[u8]) -> bool {
            match label {
                #(#own)*
                #(#inner)*
                _ => false,
            }
        }
    }
}

/// Who gets what a step gathers, if it is addressed.
pub(super) fn addressed(context: &Context<'_>, op: &syn::Ident) -> Option<(u8, u8)> {
    match context.facts.sources.get(&op.to_string()) {
        Some(Source::Scattered(from, to)) => Some((*from, *to)),
        _ => None,
    }
}
