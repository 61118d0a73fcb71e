//! `choice`.

use proc_macro2::TokenStream;
use quote::quote;

use super::{
    Context,
    flow::Site,
    names,
    states::{Method, go_back},
};
use crate::model::{Choice, End};

/// What a chooser says, and what comes out of it.
pub(super) fn items(context: &Context<'_>, site: &Site<'_>, choice: &Choice) -> TokenStream {
    let op = &site.step.op;
    let (chosen, to_choose) = (names::chosen(op), names::to_choose(op));
    let said = choice.branches.iter().map(|it| {
        let (label, payload) = (&it.label, context.payload(&it.label));
        quote!(#label(#payload))
    });
    let labels = choice.branches.iter().map(|it| {
        let (name, label) = (&it.label, names::label(&it.label));
        quote!(Self::#name(said) => (#label, __aura::rt::body(said)))
    });
    let ways = choice.branches.iter().zip(&site.branches).map(|(it, next)| {
        let (label, payload, state) = (&it.label, context.payload(&it.label), &next.state);
        quote!(#label(#state, __aura::Pub<#payload>))
    });
    let (what, where_to) = (
        format!(" What the chooser of `{op}` says."),
        format!(" How the session goes on after `{op}`."),
    );
    quote! {
        #[doc = #what]
        pub enum #to_choose {
            #(#said),*
        }

        impl #to_choose {
            fn said(&self) -> (__aura::Label, __aura::Body) {
                match self {
                    #(#labels),*
                }
            }
        }

        #[doc = #where_to]
        #[must_use = "a session must be run to its end"]
        pub enum #chosen {
            #(#ways),*
        }
    }
}

pub(super) fn method(context: &Context<'_>, site: &Site<'_>, choice: &Choice) -> Method {
    let op = &site.step.op;
    let (chosen, to_choose) = (names::chosen(op), names::to_choose(op));
    let step = step(context, site, choice);
    let by = names::role(context.role(&context.decider(choice.by.as_ref())));
    let (heard, argument, pass) = match &choice.on {
        Some(on) => {
            let heard = context.payload(&on.label);
            (heard.clone(), quote!(, &[(__aura::Dev, #heard)]), quote!(at_decider(me, heard)))
        }
        None => (quote!(()), TokenStream::new(), quote!(at_decider(me))),
    };
    let used = if choice.on.is_some() { quote!(heard) } else { quote!(_) };
    let signature = quote! {
        <X: Send>(
            self,
            at_decider: impl Fn(&__aura::Me #argument) -> ::core::result::Result<(#to_choose, X), __aura::Reason> + Send,
        )
    };
    let arms = choice.branches.iter().zip(&site.branches).map(|(it, next)| {
        let (name, label) = (&it.label, names::label(&it.label));
        let (state, back) = (&next.state, go_back(context, next));
        quote! {
            #label => {
                let said = cx.chosen(#by, &body)?;
                #back
                #chosen::#name(#state { cx }, said)
            }
        }
    });
    let body = quote! {
        let choose = move |me: &__aura::Me, #used: &[(__aura::Dev, #heard)]| {
            #pass.map(|(choice, kept)| (choice.said(), kept))
        };
        let (label, body, kept) = cx.choose::<#heard, X>(&STEP, choose).await?;
        let way = match label {
            #(#arms)*
            _ => return Err(__aura::rt::no_branch()),
        };
        Ok((way, kept))
    };
    Method {
        doc: " One device chooses how the session goes on.",
        signature,
        output: quote!((#chosen, __aura::Each<X>)),
        bounds: TokenStream::new(),
        consts: quote!(const STEP: __aura::rt::Choose = #step;),
        body,
    }
}

fn step(context: &Context<'_>, site: &Site<'_>, choice: &Choice) -> TokenStream {
    let by = names::role(context.role(&context.decider(choice.by.as_ref())));
    let on = choice.on.as_ref().map(|on| {
        let (label, within) = (names::label(&on.label), on.within);
        let (group, quorum) = context.quorum(&site.step.op, &on.quorum);
        quote!((#label, #group, #quorum, #within))
    });
    let on = names::option(on.as_ref());
    let labels = choice.branches.iter().map(|it| names::label(&it.label));
    let back = choice.branches.iter().filter_map(|it| match &it.end {
        End::Continue(mark) => {
            let mark = context.facts.marks.get(&mark.to_string())?;
            let (label, index, within) = (names::label(&it.label), mark.index, mark.within);
            Some(quote!((#label, #index, #within)))
        }
        End::Join | End::Stop => None,
    });
    let no = names::option(choice.no.as_ref().map(names::label).as_ref());
    quote! {
        __aura::rt::Choose {
            by: #by,
            on: #on,
            branches: &[#(#labels),*],
            back: &[#(#back),*],
            no: #no,
        }
    }
}
