//! `write`, `each`, `gather`, `scatter`, `pause`.

use proc_macro2::TokenStream;
use quote::quote;

use super::{
    Context,
    flow::Site,
    labels, names,
    states::{Method, go_back},
};
use crate::model::{Each, Gather, Group, Kind, Scatter, Write};

pub(super) fn method(context: &Context<'_>, site: &Site<'_>, kind: &Kind) -> Method {
    let (next, back) = (&site.next.state, go_back(context, &site.next));
    let (doc, signature, known, body) = match kind {
        Kind::Write(it) => write(context, it),
        Kind::Each(it) => each(context, it),
        Kind::Gather(it) => gather(context, site, it),
        Kind::Scatter(it) => scatter(context, it),
        Kind::Pause { epochs } => {
            let body = quote! {
                cx.pause(#epochs).await?;
                #back
                Ok(#next { cx })
            };
            let doc = " Lets epochs pass.";
            return Method {
                doc,
                signature: quote!((self)),
                output: quote!(#next),
                bounds: TokenStream::new(),
                consts: TokenStream::new(),
                body,
            };
        }
        Kind::Decide(_) | Kind::Choice(_) | Kind::Rec { .. } | Kind::Sub(_) => {
            unreachable!("these have files of their own")
        }
    };
    let body = quote! {
        let known = #body;
        #back
        Ok((#next { cx }, known))
    };
    let output = quote!((#next, #known));
    Method { doc, signature, output, bounds: TokenStream::new(), consts: TokenStream::new(), body }
}

/// Its documentation, its signature, what is known after it, and the expression that says so.
type Plain = (&'static str, TokenStream, TokenStream, TokenStream);

fn write(context: &Context<'_>, write: &Write) -> Plain {
    let (payload, label) = (context.payload(&write.label), names::label(&write.label));
    let by = names::role(context.role(&context.decider(write.by.as_ref())));
    (
        " One device says something, everybody reads it.",
        quote! {
            (self, at_writer: impl Fn(&__aura::Me) -> ::core::result::Result<#payload, __aura::Reason> + Send)
        },
        quote!(__aura::Pub<#payload>),
        quote!(cx.write(#label, #by, at_writer).await?),
    )
}

fn each(context: &Context<'_>, each: &Each) -> Plain {
    let (payload, label) = (context.payload(&each.label), names::label(&each.label));
    let group = match &each.group {
        Group::Decided(decided) => {
            let decided = names::label(decided);
            quote!(__aura::rt::Group::Decided(#decided))
        }
        Group::Role(role) => {
            let index = role.as_ref().map_or(1, |it| context.role(&it.to_string()));
            let role = names::role(index);
            quote!(__aura::rt::Group::Role(#role))
        }
    };
    let no = names::option(each.no.as_ref().map(names::label).as_ref());
    (
        " Every device of a group says something, and keeps something for itself.",
        quote! {
            <X: Send>(self, at_each: impl Fn(&__aura::Me) -> ::core::result::Result<(#payload, X), __aura::Reason> + Send)
        },
        quote!(__aura::Each<X>),
        quote!(cx.each(#label, #group, #no, at_each).await?),
    )
}

fn gather(context: &Context<'_>, site: &Site<'_>, gather: &Gather) -> Plain {
    let (payload, label) = (context.payload(&gather.label), names::label(&gather.label));
    let (group, quorum) = context.quorum(&site.step.op, &gather.quorum);
    let within = names::option(gather.within.as_ref());
    let body = match labels::addressed(context, &site.step.op) {
        None => quote!(cx.gather::<#payload>(#label, (#group, #quorum), #within).await?),
        Some((from, to)) => {
            let (from, to) = (names::role(from), names::role(to));
            quote!(cx.gather_own::<#payload>(#label, (#from, #to), #quorum, #within).await?)
        }
    };
    (
        " Waits for a quorum: what this device sees of it is its own knowledge.",
        quote!((self)),
        quote!(__aura::Each<__aura::rt::Vec<(__aura::Dev, #payload)>>),
        body,
    )
}

fn scatter(context: &Context<'_>, scatter: &Scatter) -> Plain {
    let (payload, label) = (context.payload(&scatter.label), names::label(&scatter.label));
    let place = |role: &syn::Ident| names::role(context.role(&role.to_string()));
    let (from, to) = (place(&scatter.from), place(&scatter.to));
    (
        " Every device of one role says something to each device of another.",
        quote! {
            <X: Send + Sync>(
                self,
                at_each: impl Fn(&__aura::Me) -> ::core::result::Result<X, __aura::Reason> + Send,
                per_pair: impl Fn(&__aura::Me, &X, __aura::Dev) -> ::core::result::Result<#payload, __aura::Reason> + Send,
            )
        },
        quote!(__aura::Each<X>),
        quote!(cx.scatter(#label, (#from, #to), at_each, per_pair).await?),
    )
}
