//! `sub`.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::Ident;

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
    let mapped = sub.roles.iter().map(|(theirs, ours)| check(context, session, theirs, ours));
    let body = quote! {
        let (inner, around) = cx.enter(&PART);
        let (inner, value) = run(#session::start(inner)).await?.into_parts();
        cx = inner.leave(around);
        #back
        Ok((#next { cx }, value))
    };
    Method {
        doc: " Runs another session type as a part of this one.",
        signature: quote!(<T: Send, F, Fut>(self, run: F)),
        output: quote!((#next, __aura::Pub<T>)),
        bounds: quote! {
            where
                F: FnOnce(#session::Start) -> Fut + Send,
                Fut: ::core::future::Future<
                    Output = ::core::result::Result<#session::Finished<T>, __aura::Stop>,
                > + Send,
        },
        consts: quote! {
            #(#mapped)*
            const PART: __aura::rt::Part = #step;
        },
        body,
    }
}

/// A mapped role has to exist in the part, which only the compiler knows.
fn check(context: &Context<'_>, session: &syn::Path, theirs: &Ident, ours: &Ident) -> TokenStream {
    let roles = context.session.role_names();
    let many = roles.iter().any(|it| ours == &it.0 && it.1);
    let count = if many { "many" } else { "one" };
    let what = format!("the part has no role `{theirs}` of `{count}`, as `{ours}` is");
    let theirs_text = theirs.to_string();
    quote_spanned! {theirs.span()=>
        const _: () = assert!(__aura::rt::maps(&#session::GLOBAL, #theirs_text, #many), #what);
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
