//! `sub`.

use proc_macro2::TokenStream;
use quote::quote;

use super::{
    Context,
    flow::Site,
    names,
    states::{Method, go_back},
};
use crate::model::Sub;

pub(super) fn method(context: &Context<'_>, site: &Site<'_>, sub: &Sub) -> Method {
    let (next, back) = (&site.next.state, go_back(context, &site.next));
    let session = &sub.session;
    let step = part(context, site, sub);
    let body = quote! {
        const PART: __aura::rt::Part = #step;
        let (inner, around) = cx.enter(&PART);
        let (inner, value) = run(#session::start(inner)).await?.into_parts();
        cx = inner.leave(around);
        #back
        Ok((#next { cx }, value))
    };
    Method {
        doc: "Runs another session type as a part of this one.",
        signature: quote!(<T: Send, F, Fut>(self, run: F)),
        output: quote!((#next, __aura::Pub<T>)),
        bounds: quote! {
            where
                F: FnOnce(#session::Start) -> Fut + Send,
                Fut: ::core::future::Future<
                    Output = ::core::result::Result<#session::Finished<T>, __aura::Stop>,
                > + Send,
        },
        body,
    }
}

fn part(context: &Context<'_>, site: &Site<'_>, sub: &Sub) -> TokenStream {
    let op = &site.step.op;
    let (step, base, session) = (op.to_string(), names::base(op), &sub.session);
    let decider = names::role(context.role(&context.session.decider()));
    let roles = sub.roles.iter().map(|(theirs, ours)| {
        let (theirs, ours) = (theirs.to_string(), names::role(context.role(&ours.to_string())));
        quote!((#theirs, #ours))
    });
    let last = sub.last.as_ref().map(|(_, label)| {
        let (payload, label) = (context.payload(label), names::label(label));
        quote!((#label, __aura::rt::last_word::<#payload>))
    });
    let last = names::option(last.as_ref());
    quote! {
        __aura::rt::Part {
            step: #step,
            base: #base,
            session: &#session::GLOBAL,
            decider: #decider,
            roles: &[#(#roles),*],
            last: #last,
        }
    }
}
