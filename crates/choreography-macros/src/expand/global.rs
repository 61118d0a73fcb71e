//! The declared type as data.

use proc_macro2::TokenStream;
use quote::quote;
use syn::Ident;

use super::{Context, names};
use crate::model::{Branch, End, Group, Kind, On, Quorum, Step};

pub(super) fn item(context: &Context<'_>) -> TokenStream {
    let session = context.session;
    let (name, ttl) = (text(&session.name), names::option(session.ttl.as_ref()));
    let roles = session.roles.iter().map(|it| {
        let (name, many) = (text(&it.name), it.many);
        quote!(__aura::global::RoleType { name: #name, many: #many })
    });
    let (votes, declared): (Vec<_>, Vec<_>) =
        context.labels().into_iter().partition(|it| it.is_vote);
    let votes = votes.into_iter().map(|it| text(&it.name));
    let labels = declared.into_iter().map(|it| {
        let (name, payload) = (text(&it.name), it.payload);
        quote!(__aura::global::LabelType { name: #name, layout: &<#payload as __aura::Payload>::LAYOUT })
    });
    let steps = steps(context, &session.steps);
    quote! {
        /// The declared type.
        pub static GLOBAL: __aura::GlobalType = __aura::GlobalType {
            name: #name,
            ttl: #ttl,
            roles: &[#(#roles),*],
            labels: &[#(#labels),*],
            votes: &[#(#votes),*],
            steps: &#steps,
        };
    }
}

fn text(name: &Ident) -> String {
    name.to_string()
}

fn maybe(name: Option<&Ident>) -> TokenStream {
    names::option(name.map(text).as_ref())
}

fn steps(context: &Context<'_>, steps: &[Step]) -> TokenStream {
    let steps = steps.iter().map(|it| step(context, it));
    quote!([#(#steps),*])
}

fn step(context: &Context<'_>, step: &Step) -> TokenStream {
    let op = text(&step.op);
    let fields = match &step.kind {
        Kind::Write(it) => {
            let (label, by) = (text(&it.label), context.decider(it.by.as_ref()));
            quote!(Write { op: #op, label: #label, by: #by })
        }
        Kind::Each(it) => {
            let (label, among) = (text(&it.label), group(&it.group));
            let no = maybe(it.no.as_ref());
            quote!(Each { op: #op, label: #label, among: #among, no: #no })
        }
        Kind::Gather(it) => {
            let (label, quorum) = (text(&it.label), quorum(&it.quorum));
            let within = names::option(it.within.as_ref());
            quote!(Gather { op: #op, label: #label, quorum: #quorum, within: #within })
        }
        Kind::Scatter(it) => {
            let (label, from, to) = (text(&it.label), text(&it.from), text(&it.to));
            quote!(Scatter { op: #op, label: #label, from: #from, to: #to })
        }
        Kind::Decide(it) => {
            let (by, on) = (context.decider(it.by.as_ref()), on(&it.on));
            let (yes, no, unless) = (text(&it.yes), text(&it.no), maybe(it.unless.as_ref()));
            let certified = it.certified;
            quote!(Decide {
                op: #op, by: #by, on: #on, yes: #yes, no: #no, certified: #certified, unless: #unless
            })
        }
        Kind::Choice(it) => {
            let (by, no) = (context.decider(it.by.as_ref()), maybe(it.no.as_ref()));
            let on = names::option(it.on.as_ref().map(on).as_ref());
            let branches = it.branches.iter().map(|it| branch(context, it));
            quote!(Choice { op: #op, by: #by, on: #on, branches: &[#(#branches),*], no: #no })
        }
        Kind::Rec { within } => quote!(Rec { name: #op, within: #within }),
        Kind::Sub(it) => {
            let session = &it.session;
            let roles = it.roles.iter().map(|(theirs, ours)| {
                let (theirs, ours) = (text(theirs), text(ours));
                quote!((#theirs, #ours))
            });
            let last = maybe(it.last.as_ref().map(|it| &it.1));
            quote!(Sub { op: #op, session: &#session::GLOBAL, roles: &[#(#roles),*], last: #last })
        }
        Kind::Pause { epochs } => quote!(Pause { op: #op, epochs: #epochs }),
    };
    quote!(__aura::global::Step::#fields)
}

fn branch(context: &Context<'_>, branch: &Branch) -> TokenStream {
    let (label, steps) = (text(&branch.label), steps(context, &branch.steps));
    let end = match &branch.end {
        End::Join => quote!(Join),
        End::Stop => quote!(Stop),
        End::Continue(mark) => {
            let mark = text(mark);
            quote!(Continue(#mark))
        }
    };
    quote!(__aura::global::Branch { label: #label, steps: &#steps, end: __aura::global::End::#end })
}

fn group(group: &Group) -> TokenStream {
    let (kind, name) = match group {
        Group::Role(None) => (quote!(Role), crate::model::ALL.to_string()),
        Group::Role(Some(role)) => (quote!(Role), text(role)),
        Group::Decided(label) => (quote!(Decided), text(label)),
    };
    quote!(__aura::global::GroupType::#kind(#name))
}

fn quorum(quorum: &Quorum) -> TokenStream {
    let kind = match quorum {
        Quorum::Threshold => quote!(Threshold),
        Quorum::All => quote!(All),
        Quorum::Among(label) => {
            let label = text(label);
            quote!(Among(#label))
        }
        Quorum::Count(count) => quote!(Count(#count)),
    };
    quote!(__aura::global::QuorumType::#kind)
}

fn on(on: &On) -> TokenStream {
    let (label, quorum, within) = (text(&on.label), quorum(&on.quorum), on.within);
    quote!(__aura::global::OnType { label: #label, quorum: #quorum, within: #within })
}
