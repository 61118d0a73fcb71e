//! How generated items are called.

use proc_macro2::TokenStream;
use quote::{ToTokens, format_ident, quote};
use syn::Ident;

use crate::{check::Source, expand::Context, model::Quorum};

/// `fast_route` as a type: `FastRoute`.
pub(crate) fn camel(name: &str) -> String {
    let mut text = String::new();
    for word in name.split('_') {
        let mut letters = word.chars();
        text.extend(letters.next().map(|it| it.to_ascii_uppercase()));
        text.extend(letters);
    }
    text
}

/// `FastRoute` as a constant: `FAST_ROUTE`.
pub(crate) fn screaming(name: &str) -> String {
    let mut text = String::new();
    let mut is_inside = false;
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && is_inside {
            text.push('_');
        }
        is_inside = letter.is_ascii_lowercase() || letter.is_ascii_digit();
        text.push(letter.to_ascii_uppercase());
    }
    text
}

/// The constant of a label, at the author's token.
pub(crate) fn label(name: &Ident) -> Ident {
    Ident::new(&screaming(&name.to_string()), name.span())
}

/// The constant to look for a label with.
pub(crate) fn said(name: &Ident) -> Ident {
    Ident::new(&format!("SAID_{}", screaming(&name.to_string())), name.span())
}

/// The name of the label of votes on a decision.
pub(crate) fn vote(yes: &Ident) -> Ident {
    format_ident!("{yes}Vote")
}

/// The state after a step.
pub(crate) fn after(op: &Ident) -> Ident {
    Ident::new(&format!("After{}", camel(&op.to_string())), op.span())
}

/// The first state of a branch that has steps.
pub(crate) fn branch(op: &Ident, label: &Ident) -> Ident {
    Ident::new(&format!("On{}{label}", camel(&op.to_string())), label.span())
}

/// What comes out of a choice.
pub(crate) fn chosen(op: &Ident) -> Ident {
    Ident::new(&camel(&op.to_string()), op.span())
}

/// What a chooser says.
pub(crate) fn to_choose(op: &Ident) -> Ident {
    Ident::new(&format!("{}Choice", camel(&op.to_string())), op.span())
}

/// Where the labels of a part begin.
pub(crate) fn base(op: &Ident) -> Ident {
    Ident::new(&format!("{}_BASE", screaming(&op.to_string())), op.span())
}

/// `Some(…)` or `None`.
pub(crate) fn option(value: Option<&impl ToTokens>) -> TokenStream {
    match value {
        Some(value) => quote!(::core::option::Option::Some(#value)),
        None => quote!(::core::option::Option::None),
    }
}

/// A role by its place.
pub(crate) fn role(index: u8) -> TokenStream {
    match index {
        0 => quote!(__aura::RoleIx::OPENER),
        1 => quote!(__aura::RoleIx::ALL),
        _ => quote!(__aura::RoleIx(#index)),
    }
}

impl Context<'_> {
    /// The place of a role that exists.
    pub(crate) fn role(&self, name: &str) -> u8 {
        let place = self.session.role_names().iter().position(|it| it.0 == name);
        place.unwrap_or(0) as u8
    }

    /// The name of the role that decides or writes.
    pub(crate) fn decider(&self, named: Option<&Ident>) -> String {
        named.map_or_else(|| self.session.decider(), Ident::to_string)
    }

    /// The payload of a label that exists.
    pub(crate) fn payload(&self, label: &Ident) -> TokenStream {
        self.session.message(label).map_or_else(TokenStream::new, |it| it.payload.to_token_stream())
    }

    /// Of whom, and of how many, a step waits.
    pub(crate) fn quorum(&self, op: &Ident, quorum: &Quorum) -> (TokenStream, TokenStream) {
        let decided = |label: &str| {
            let label = Ident::new(&screaming(label), op.span());
            quote!(__aura::rt::Group::Decided(#label))
        };
        let group = match (quorum, self.facts.sources.get(&op.to_string())) {
            (Quorum::Among(label), _) => decided(&label.to_string()),
            (_, Some(Source::Decided(label))) => decided(label),
            (_, Some(Source::Role(index) | Source::Scattered(index, _))) => {
                let role = role(*index);
                quote!(__aura::rt::Group::Role(#role))
            }
            (_, None) => quote!(__aura::rt::Group::Role(__aura::RoleIx::ALL)),
        };
        let count = match quorum {
            Quorum::Threshold => quote!(__aura::rt::Quorum::Threshold),
            Quorum::All | Quorum::Among(_) => quote!(__aura::rt::Quorum::All),
            Quorum::Count(count) => quote!(__aura::rt::Quorum::Count(#count)),
        };
        (group, count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_types_and_constants() {
        assert_eq!(camel("fast_route"), "FastRoute");
        assert_eq!(camel("a__b2"), "AB2");
        assert_eq!(screaming("FreezeVote"), "FREEZE_VOTE");
        assert_eq!(screaming("Q1Done"), "Q1_DONE");
        assert_eq!(screaming("DKG"), "DKG");
    }
}
