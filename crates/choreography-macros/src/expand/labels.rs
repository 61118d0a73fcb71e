//! Labels: a constant each, and what they may carry.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned as _;

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
    let (reasons, said) = (reasons(context), said(context));
    let accepts = accepts(&labels, &parts);
    quote! {
        #(#consts)*
        #bases
        /// How many labels there are, those of parts included.
        pub const LABELS: u16 = #end;
        const _: () = assert!(LABELS <= __aura::LABELS_MAX, "a session has at most 128 labels, those of its parts included");
        #said
        #reasons
        #accepts
    }
}

/// What can be looked for at any state: messages that are for everybody.
fn said(context: &Context<'_>) -> TokenStream {
    let items = context.session.labels.iter().filter_map(|it| {
        let group = match context.facts.said.get(&it.name.to_string())? {
            Some(Source::Role(index)) => {
                let role = names::role(*index);
                quote!(Role(#role))
            }
            Some(Source::Decided(decided)) => {
                let decided = syn::Ident::new(&names::screaming(decided), it.name.span());
                quote!(Decided(#decided))
            }
            Some(Source::Scattered(..)) | None => return None,
        };
        let (name, label, payload) = (names::said(&it.name), names::label(&it.name), &it.payload);
        let doc = format!(" What was said of `{}` already.", it.name);
        Some(quote! {
            #[doc = #doc]
            pub const #name: __aura::Said<#payload> =
                __aura::Said::new(#label, __aura::rt::Group::#group);
        })
    });
    items.collect()
}

/// What is said when a decision fails has to be the runtime's own `Reason`.
fn reasons(context: &Context<'_>) -> TokenStream {
    let mut labels: Vec<&syn::Ident> = Vec::new();
    for step in all_steps(&context.session.steps) {
        let no = match &step.kind {
            Kind::Decide(it) => Some(&it.no),
            Kind::Choice(it) => it.no.as_ref(),
            _ => None,
        };
        labels.extend(no.filter(|it| !labels.contains(it)));
    }
    let check = |label: &syn::Ident| {
        let payload = context.payload(label);
        let at =
            context.session.message(label).map_or_else(|| label.span(), |it| it.payload.span());
        let at = proc_macro2::Span::call_site().located_at(at);
        quote_spanned!(at=> const _: fn(#payload) -> __aura::Reason = |reason| reason;)
    };
    labels.into_iter().map(check).collect()
}

fn accepts(labels: &[Own<'_>], parts: &[(&syn::Ident, &Sub)]) -> TokenStream {
    let own = labels.iter().map(|it| {
        let (label, payload) = (names::label(&it.name), &it.payload);
        let payload =
            if it.is_scattered { quote!((__aura::Dev, #payload)) } else { quote!(#payload) };
        quote!(#label => __aura::rt::is::<#payload>(body),)
    });
    let own_addressed = labels.iter().filter(|it| it.is_scattered).map(|it| {
        let label = names::label(&it.name);
        quote!(#label => true,)
    });
    let inner_addressed = inner(parts, |session| quote!(#session::is_addressed), &quote!());
    let inner = inner(parts, |session| quote!(#session::accepts), &quote!(, body));
    let own_addressed: TokenStream = own_addressed.collect();
    let is_addressed = if own_addressed.is_empty() && parts.is_empty() {
        quote!((_: __aura::Label) -> bool { false })
    } else {
        quote! {
            (label: __aura::Label) -> bool {
                match label {
                    #own_addressed
                    #inner_addressed
                    _ => false,
                }
            }
        }
    };
    quote! {
        /// Whether each event of this label is for one device.
        #[must_use]
        pub fn is_addressed #is_addressed

        /// Whether `body` is what `label` may carry.
        #[must_use]
        pub fn accepts(label: __aura::Label, body: &[u8]) -> bool {
            match label {
                #(#own)*
                #inner
                _ => false,
            }
        }
    }
}

/// The arms of a `match` on `label` that ask a part.
fn inner(
    parts: &[(&syn::Ident, &Sub)],
    question: fn(&syn::Path) -> TokenStream,
    rest: &TokenStream,
) -> TokenStream {
    let arm = |(op, sub): &(&syn::Ident, &Sub)| {
        let (base, session) = (names::base(op), &sub.session);
        let question = question(session);
        quote! {
            __aura::Label(it) if #base <= it && it - #base < #session::LABELS => {
                #question(__aura::Label(it - #base) #rest)
            }
        }
    };
    parts.iter().map(arm).collect()
}

/// Who gets what a step gathers, if it is addressed.
pub(super) fn addressed(context: &Context<'_>, op: &syn::Ident) -> Option<(u8, u8)> {
    match context.facts.sources.get(&op.to_string()) {
        Some(Source::Scattered(from, to)) => Some((*from, *to)),
        _ => None,
    }
}
