//! The grammar of `session!`.

mod choice;
mod step;

use syn::{
    Attribute, Error, Ident, LitInt, Path, Result, Token, Type, Visibility, braced, parenthesized,
    parse::{Parse, ParseStream},
    parse_quote,
};

use crate::{
    error::Errors,
    model::{Message, Role, Session},
};

impl Parse for Session {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let runtime = runtime(input)?;
        let docs = docs(input)?;
        let vis: Visibility = input.parse()?;
        if !input.peek(Token![mod]) {
            return Err(input.error("a session begins with the module to write: `pub mod name;`"));
        }
        input.parse::<Token![mod]>()?;
        let name = input.parse()?;
        input.parse::<Token![;]>()?;
        let ttl = if eat(input, "ttl") { Some(closed(input, number)?) } else { None };
        let roles = if eat(input, "roles") { list(input, role)? } else { Vec::new() };
        let labels = if eat(input, "msg") { list(input, message)? } else { Vec::new() };
        let mut errors = Errors::default();
        let steps = step::steps(input, &mut errors);
        errors.or(Self { runtime, docs, vis, name, ttl, roles, labels, steps })
    }
}

/// `crate = path;`
fn runtime(input: ParseStream<'_>) -> Result<Path> {
    if !(input.peek(Token![crate]) && input.peek2(Token![=])) {
        return Ok(default_runtime());
    }
    input.parse::<Token![crate]>()?;
    input.parse::<Token![=]>()?;
    closed(input, Path::parse_mod_style)
}

/// Where the runtime is when nothing is said.
pub(crate) fn default_runtime() -> Path {
    parse_quote!(::aura_choreography)
}

/// Doc comments; nothing else can stand before what this text declares.
fn docs(input: ParseStream<'_>) -> Result<Vec<Attribute>> {
    let attributes = input.call(Attribute::parse_outer)?;
    match attributes.iter().find(|it| !it.path().is_ident("doc")) {
        Some(other) => Err(Error::new_spanned(other, "only doc comments can stand here")),
        None => Ok(attributes),
    }
}

fn role(input: ParseStream<'_>) -> Result<Role> {
    let name = input.parse()?;
    input.parse::<Token![:]>()?;
    let many = match () {
        () if eat(input, "one") => false,
        () if eat(input, "many") => true,
        () => return Err(input.error("a role is `one` device or `many`")),
    };
    Ok(Role { name, many })
}

fn message(input: ParseStream<'_>) -> Result<Message> {
    let docs = docs(input)?;
    let name = input.parse()?;
    if !input.peek(syn::token::Paren) {
        return Err(input.error("what the message carries stands here: `Name(Payload)`"));
    }
    let content;
    parenthesized!(content in input);
    let payload: Type = content.parse()?;
    if !content.is_empty() {
        return Err(content.error("a message carries one payload: a struct, or a tuple `((A, B))`"));
    }
    Ok(Message { docs, name, payload })
}

/// `{ item, item }`
fn list<T>(input: ParseStream<'_>, item: fn(ParseStream<'_>) -> Result<T>) -> Result<Vec<T>> {
    let content;
    braced!(content in input);
    Ok(content.parse_terminated(item, Token![,])?.into_iter().collect())
}

/// `item;`
fn closed<T>(input: ParseStream<'_>, item: fn(ParseStream<'_>) -> Result<T>) -> Result<T> {
    let value = item(input)?;
    input.parse::<Token![;]>()?;
    Ok(value)
}

/// Epochs.
fn number(input: ParseStream<'_>) -> Result<u32> {
    let literal: LitInt = input.parse().map_err(|error| {
        Error::new(error.span(), "a number of epochs stands here, such as `50`")
    })?;
    literal.base10_parse()
}

/// Whether a word comes next.
fn is_next(input: ParseStream<'_>, word: &str) -> bool {
    input.cursor().ident().is_some_and(|(it, _)| it == word)
}

/// Takes a word if it comes next.
fn eat(input: ParseStream<'_>, word: &str) -> bool {
    is_next(input, word) && input.parse::<Ident>().is_ok()
}

/// Takes a word that has to come next.
fn expect(input: ParseStream<'_>, word: &str) -> Result<()> {
    if eat(input, word) { Ok(()) } else { Err(input.error(format!("expected `{word}`"))) }
}
