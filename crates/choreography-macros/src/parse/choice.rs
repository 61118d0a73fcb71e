//! `choice` and its branches.

use syn::{Ident, Result, Token, braced, parse::ParseStream};

use super::{eat, step};
use crate::{
    error::Errors,
    model::{Branch, Choice, End, Kind},
};

pub(super) fn choice(input: ParseStream<'_>, errors: &mut Errors) -> Result<(Ident, Kind)> {
    let op: Ident = input.parse()?;
    if op == "certified" {
        let what = "a choice cannot be certified: `decide certified` before it, and choose by that";
        return Err(syn::Error::new(op.span(), what));
    }
    let by = step::by(input)?;
    let on = if input.peek(Token![:]) {
        input.parse::<Token![:]>()?;
        Some(step::on(input)?)
    } else {
        None
    };
    let content;
    braced!(content in input);
    let mut branches = Vec::new();
    while !content.is_empty() {
        branches.push(branch(&content, errors)?);
    }
    let no = if input.peek(Token![|]) {
        input.parse::<Token![|]>()?;
        Some(input.parse()?)
    } else {
        None
    };
    Ok((op, Kind::Choice(Box::new(Choice { by, on, branches, no }))))
}

/// `Label => continue mark,`, `Label => stop,` or `Label => { … }`.
fn branch(input: ParseStream<'_>, errors: &mut Errors) -> Result<Branch> {
    let label = input.parse()?;
    input.parse::<Token![=>]>()?;
    if !input.peek(syn::token::Brace) {
        let end = short_end(input)?;
        if !input.is_empty() {
            input.parse::<Token![,]>()?;
        }
        return Ok(Branch { label, steps: Vec::new(), end });
    }
    let content;
    braced!(content in input);
    let steps = step::steps(&content, errors);
    let end = if content.is_empty() { End::Join } else { step::end(&content)? };
    if !content.is_empty() {
        let what =
            "nothing comes after `continue` or `stop`: move this step before it, or delete it";
        errors.push(content.error(what));
        // What is left was told about; the rest of the text still counts.
        content.parse::<proc_macro2::TokenStream>()?;
    }
    if input.peek(Token![,]) {
        input.parse::<Token![,]>()?;
    }
    Ok(Branch { label, steps, end })
}

fn short_end(input: ParseStream<'_>) -> Result<End> {
    if input.peek(Token![continue]) {
        input.parse::<Token![continue]>()?;
        return input.parse().map(End::Continue);
    }
    if eat(input, "stop") {
        return Ok(End::Stop);
    }
    Err(input.error("a branch is `{ steps }`, `continue mark` or `stop`"))
}
