//! One step of a session's text.

use proc_macro2::TokenTree;
use syn::{Error, Ident, LitInt, Path, Result, Token, bracketed, parse::ParseStream};

use super::{choice, closed, docs, eat, expect, is_next, list, number};
use crate::{
    error::Errors,
    model::{Decide, Each, End, Gather, Group, Kind, On, Quorum, Scatter, Step, Sub, Write},
};

const STEPS: &str = "expected a step: `write`, `each`, `gather`, `decide`, `scatter`, `rec`, `choice`, \
                     `sub` or `pause`";

/// Steps up to the end of the text, or to what ends a branch. After an error it goes on behind the
/// next `;`, so that one run tells everything.
pub(super) fn steps(input: ParseStream<'_>, errors: &mut Errors) -> Vec<Step> {
    let mut steps = Vec::new();
    while !input.is_empty() && !ends_branch(input) {
        match step(input, errors) {
            Ok(step) => steps.push(step),
            Err(error) => {
                errors.push(error);
                skip(input);
            }
        }
    }
    steps
}

/// Whether what comes next ends a branch: `continue mark;` or `stop;`.
pub(super) fn ends_branch(input: ParseStream<'_>) -> bool {
    input.peek(Token![continue]) || (is_next(input, "stop") && input.peek2(Token![;]))
}

fn skip(input: ParseStream<'_>) {
    while let Ok(token) = input.parse::<TokenTree>() {
        if matches!(&token, TokenTree::Punct(it) if it.as_char() == ';') {
            break;
        }
    }
}

fn step(input: ParseStream<'_>, errors: &mut Errors) -> Result<Step> {
    let docs = docs(input)?;
    let word: Ident = input.parse().map_err(|error| Error::new(error.span(), STEPS))?;
    let (op, kind) = rest(input, &word, errors).map_err(|it| with_form(&word, it))?;
    Ok(Step { docs, op, kind })
}

/// What comes behind the first word of a step.
fn rest(input: ParseStream<'_>, word: &Ident, errors: &mut Errors) -> Result<(Ident, Kind)> {
    let step = match word.to_string().as_str() {
        "write" => named(input, write)?,
        "each" => named(input, each)?,
        "gather" => named(input, gather)?,
        "scatter" => named(input, scatter)?,
        "pause" => named(input, |input| Ok(Kind::Pause { epochs: number(input)? }))?,
        "sub" => named(input, sub)?,
        "decide" => decide(input)?,
        "choice" => choice::choice(input, errors)?,
        "rec" => {
            let op = input.parse()?;
            expect(input, "within")?;
            (op, Kind::Rec { within: number(input)? })
        }
        _ => return Err(Error::new(word.span(), STEPS)),
    };
    input.parse::<Token![;]>()?;
    Ok(step)
}

/// An error that says only what else it expected, with the whole form of the step.
fn with_form(word: &Ident, error: Error) -> Error {
    let form = match word.to_string().as_str() {
        "write" => "write name: Label by Role;",
        "each" => "each name: Label by Role | Decline;",
        "gather" => "gather name: Label[threshold] within 50;",
        "scatter" => "scatter name: Role -> Role: Label;",
        "pause" => "pause name: 50;",
        "sub" => "sub name: module { Theirs: Ours } finally name: Label;",
        "decide" => {
            "decide name by Role: on Label[threshold] within 50 => Label | Abort unless Veto;"
        }
        "choice" => {
            "choice name by Role: on Label[threshold] within 50 { Label => { … } } | Abort;"
        }
        "rec" => "rec name within 50;",
        _ => return error,
    };
    let said = error.to_string();
    if said.starts_with("expected") || said.starts_with("unexpected") {
        return Error::new(error.span(), format!("{said}, as in `{form}`"));
    }
    error
}

/// `op: …`
fn named(
    input: ParseStream<'_>,
    kind: fn(ParseStream<'_>) -> Result<Kind>,
) -> Result<(Ident, Kind)> {
    let op = input.parse()?;
    input.parse::<Token![:]>()?;
    Ok((op, kind(input)?))
}

fn write(input: ParseStream<'_>) -> Result<Kind> {
    Ok(Kind::Write(Write { label: input.parse()?, by: by(input)? }))
}

fn each(input: ParseStream<'_>) -> Result<Kind> {
    let label = input.parse()?;
    let group =
        if eat(input, "among") { Group::Decided(input.parse()?) } else { Group::Role(by(input)?) };
    let no = if input.peek(Token![|]) {
        input.parse::<Token![|]>()?;
        Some(input.parse()?)
    } else {
        None
    };
    Ok(Kind::Each(Each { label, group, no }))
}

fn gather(input: ParseStream<'_>) -> Result<Kind> {
    let (label, quorum) = quorum(input)?;
    let within = if eat(input, "within") { Some(number(input)?) } else { None };
    Ok(Kind::Gather(Gather { label, quorum, within }))
}

fn scatter(input: ParseStream<'_>) -> Result<Kind> {
    let from = input.parse()?;
    input.parse::<Token![->]>()?;
    let to = input.parse()?;
    input.parse::<Token![:]>()?;
    Ok(Kind::Scatter(Scatter { from, to, label: input.parse()? }))
}

fn decide(input: ParseStream<'_>) -> Result<(Ident, Kind)> {
    let certified = eat(input, "certified");
    let op = input.parse()?;
    let by = by(input)?;
    input.parse::<Token![:]>()?;
    let on = on(input)?;
    input.parse::<Token![=>]>()?;
    let yes: Ident = input.parse()?;
    if !input.peek(Token![|]) {
        let what = "a decision can fail: what is said then stands here, such as `| Abort`";
        return Err(input.error(what));
    }
    input.parse::<Token![|]>()?;
    let no = input.parse()?;
    let unless = if eat(input, "unless") { Some(input.parse()?) } else { None };
    Ok((op, Kind::Decide(Box::new(Decide { certified, by, on, yes, no, unless }))))
}

fn sub(input: ParseStream<'_>) -> Result<Kind> {
    let session = input.call(Path::parse_mod_style)?;
    let roles = if input.peek(syn::token::Brace) { list(input, mapped)? } else { Vec::new() };
    let last = if eat(input, "finally") {
        let op = input.parse()?;
        input.parse::<Token![:]>()?;
        Some((op, input.parse()?))
    } else {
        None
    };
    Ok(Kind::Sub(Box::new(Sub { session, roles, last })))
}

/// `Child: Parent`
fn mapped(input: ParseStream<'_>) -> Result<(Ident, Ident)> {
    let child = input.parse()?;
    input.parse::<Token![:]>()?;
    Ok((child, input.parse()?))
}

/// `by Role`, if it is there.
pub(super) fn by(input: ParseStream<'_>) -> Result<Option<Ident>> {
    if eat(input, "by") { input.parse().map(Some) } else { Ok(None) }
}

/// `on Label[quorum] within n`
pub(super) fn on(input: ParseStream<'_>) -> Result<On> {
    expect(input, "on")?;
    let (label, quorum) = quorum(input)?;
    if !is_next(input, "within") {
        let what = "whoever decides waits for a time that all know: `within 50` stands here";
        return Err(input.error(what));
    }
    expect(input, "within")?;
    Ok(On { label, quorum, within: number(input)? })
}

/// `Label[quorum]`
fn quorum(input: ParseStream<'_>) -> Result<(Ident, Quorum)> {
    const WHAT: &str =
        "of how many stands here: `[threshold]`, `[all]`, `[among Decided]` or `[3]`";
    let label = input.parse()?;
    if !input.peek(syn::token::Bracket) {
        return Err(input.error(WHAT));
    }
    let content;
    bracketed!(content in input);
    let quorum = match () {
        () if eat(&content, "threshold") => Quorum::Threshold,
        () if eat(&content, "all") => Quorum::All,
        () if eat(&content, "among") => Quorum::Among(content.parse()?),
        () if content.peek(LitInt) => {
            let literal: LitInt = content.parse()?;
            match literal.base10_parse()? {
                0 => return Err(Error::new(literal.span(), "waiting for 0 devices is no wait")),
                count => Quorum::Count(count),
            }
        }
        () => return Err(content.error(WHAT)),
    };
    if content.is_empty() { Ok((label, quorum)) } else { Err(content.error(WHAT)) }
}

/// `item;` within a branch.
pub(super) fn end(input: ParseStream<'_>) -> Result<End> {
    if input.peek(Token![continue]) {
        input.parse::<Token![continue]>()?;
        return closed(input, |input| input.parse().map(End::Continue));
    }
    expect(input, "stop")?;
    closed(input, |_| Ok(End::Stop))
}
