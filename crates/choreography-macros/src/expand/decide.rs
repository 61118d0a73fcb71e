//! `decide`.

use proc_macro2::TokenStream;
use quote::quote;

use super::{
    Context,
    flow::Site,
    names,
    states::{Method, go_back},
};
use crate::model::Decide;

pub(super) fn method(context: &Context<'_>, site: &Site<'_>, decide: &Decide) -> Method {
    let (heard, said) = (context.payload(&decide.on.label), context.payload(&decide.yes));
    let (next, back) = (&site.next.state, go_back(context, &site.next));
    let step = step(context, site, decide);
    let (veto, argument, pass) = match &decide.unless {
        Some(label) => {
            let veto = context.payload(label);
            let argument = quote! {
                on_signal: impl Fn(&__aura::Me, &[u8]) -> ::core::option::Option<#veto> + Send + Sync,
            };
            (veto, argument, quote!(Some(&on_signal)))
        }
        None => (quote!(()), TokenStream::new(), quote!(None)),
    };
    let signature = quote! {
        <X: Send>(
            self,
            at_decider: impl Fn(&__aura::Me, &[(__aura::Dev, #heard)]) -> ::core::result::Result<(#said, X), __aura::Reason> + Send,
            #argument
        )
    };
    let body = quote! {
        let (known, kept) = cx.decide::<#heard, #said, #veto, X>(&STEP, at_decider, #pass).await?;
        #back
        Ok((#next { cx }, known, kept))
    };
    Method {
        doc: " One device decides what all then know.",
        signature,
        output: quote!((#next, __aura::Pub<#said>, __aura::Each<X>)),
        bounds: TokenStream::new(),
        consts: quote!(const STEP: __aura::rt::Decide<#said> = #step;),
        body,
    }
}

fn step(context: &Context<'_>, site: &Site<'_>, decide: &Decide) -> TokenStream {
    let by = names::role(context.role(&context.decider(decide.by.as_ref())));
    let on = names::label(&decide.on.label);
    let (from, quorum) = context.quorum(&site.step.op, &decide.on.quorum);
    let within = decide.on.within;
    let (yes, no) = (names::label(&decide.yes), names::label(&decide.no));
    let vote = decide.certified.then(|| names::label(&names::vote(&decide.yes)));
    let vote = names::option(vote.as_ref());
    let unless = names::option(decide.unless.as_ref().map(names::label).as_ref());
    let is_named = context.facts.named.contains(&decide.yes.to_string());
    let payload = context.payload(&decide.yes);
    let named = is_named.then(|| quote!(<#payload as __aura::Subset>::members));
    let names = names::option(named.as_ref());
    quote! {
        __aura::rt::Decide {
            by: #by,
            on: #on,
            from: #from,
            quorum: #quorum,
            within: #within,
            yes: #yes,
            no: #no,
            vote: #vote,
            unless: #unless,
            names: #names,
        }
    }
}
