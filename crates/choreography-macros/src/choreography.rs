//! `#[choreography]`: a linear `async fn` as a protocol.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote};
use syn::{
    Error, FnArg, GenericArgument, Ident, ItemFn, Path, PathArguments, Result, ReturnType,
    Signature, Token, Type, Visibility,
    parse::{Parse, ParseStream},
};

use crate::{error::Errors, keeps, parse::default_runtime};

const TAKES: &str = "a choreography takes the first state of its session and nothing else: \
                     `(s: session::Start)`";
const RETURNS: &str = "a choreography ends its session: \
                       `-> Result<session::Finished<T>, Stop>`";

/// `pub Name, roles = function, crate = path`
struct Arguments {
    vis: Option<Visibility>,
    name: Ident,
    roles: Option<Path>,
    runtime: Path,
}

impl Parse for Arguments {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        if input.is_empty() {
            let what = "the name of the protocol stands here: `#[choreography(Name)]`";
            return Err(Error::new(Span::call_site(), what));
        }
        let vis = match input.parse()? {
            Visibility::Inherited => None,
            vis => Some(vis),
        };
        let mut arguments =
            Self { vis, name: input.parse()?, roles: None, runtime: default_runtime() };
        while !input.is_empty() {
            input.parse::<Token![,]>()?;
            if input.is_empty() {
                break;
            }
            if input.peek(Token![crate]) {
                input.parse::<Token![crate]>()?;
                input.parse::<Token![=]>()?;
                arguments.runtime = input.call(Path::parse_mod_style)?;
                continue;
            }
            let key: Ident = input.parse()?;
            if key != "roles" {
                return Err(Error::new(key.span(), "expected `roles = …` or `crate = …`"));
            }
            input.parse::<Token![=]>()?;
            arguments.roles = Some(input.call(Path::parse_mod_style)?);
        }
        Ok(arguments)
    }
}

/// Writes the function, and the protocol beside it.
///
/// # Errors
/// What is wrong with either.
pub(crate) fn expand(arguments: TokenStream, function: TokenStream) -> Result<TokenStream> {
    let mut errors = Errors::default();
    let arguments: Option<Arguments> = errors.keep(syn::parse2(arguments));
    let function: ItemFn = syn::parse2(function)?;
    let session = errors.keep(session_of(&function));
    keeps::check(function.block.to_token_stream(), &mut errors);
    let (Some(arguments), Some(session), true) = (arguments, session, errors.is_empty()) else {
        return errors.or(TokenStream::new());
    };
    let Arguments { vis, name, roles, runtime } = arguments;
    let vis = vis.unwrap_or_else(|| function.vis.clone());
    let text = &function.sig.ident;
    let cast = roles.map_or_else(
        || quote!(Ok(#runtime::default_cast(&#session::GLOBAL, opening))),
        |roles| quote! {
            let roles: fn(&#runtime::Opening<'_>) -> ::core::result::Result<#session::Roles, #runtime::Reason> = #roles;
            roles(opening).map(#runtime::Cast::from)
        },
    );
    let doc = format!(" The protocol whose text is [`{text}`].");
    Ok(quote! {
        #function

        #[doc = #doc]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        #vis struct #name;

        impl #runtime::Script for #name {
            fn global(&self) -> &#runtime::GlobalType {
                &#session::GLOBAL
            }

            fn run(&self, cx: #runtime::Cx) -> #runtime::Running {
                #runtime::rt::Box::pin(#runtime::rt::start(cx, #session::start, |start| async move {
                    #text(start).await.map(|end| #runtime::rt::finish(end.into_parts().1))
                }))
            }

            fn accepts(&self, label: #runtime::Label, body: &[u8]) -> bool {
                #session::accepts(label, body)
            }

            fn is_addressed(&self, label: #runtime::Label) -> bool {
                #session::is_addressed(label)
            }

            fn cast(
                &self,
                opening: &#runtime::Opening<'_>,
            ) -> ::core::result::Result<#runtime::Cast, #runtime::Reason> {
                #cast
            }
        }
    })
}

/// The module of the session that a function runs.
fn session_of(function: &ItemFn) -> Result<Path> {
    let mut errors = Errors::default();
    let signature = &function.sig;
    if signature.asyncness.is_none() {
        errors.at(&signature.fn_token, "a choreography waits for others: make it an `async fn`");
    }
    if !signature.generics.params.is_empty() {
        errors.at(&signature.generics, "a choreography is one text: it has no type parameters");
    }
    let session = errors.keep(argument(function));
    errors.keep(output(signature, session.as_ref()));
    match session {
        Some(session) => errors.or(session),
        None => Err(errors.or(()).err().unwrap_or_else(|| Error::new_spanned(signature, TAKES))),
    }
}

fn argument(function: &ItemFn) -> Result<Path> {
    let inputs = &function.sig.inputs;
    let (Some(FnArg::Typed(only)), 1) = (inputs.first(), inputs.len()) else {
        let at = if inputs.is_empty() {
            function.sig.ident.to_token_stream()
        } else {
            inputs.to_token_stream()
        };
        return Err(Error::new_spanned(at, TAKES));
    };
    module(&only.ty, "Start").ok_or_else(|| Error::new_spanned(&only.ty, TAKES))
}

fn output(signature: &Signature, session: Option<&Path>) -> Result<()> {
    let ReturnType::Type(_, found) = &signature.output else {
        return Err(Error::new_spanned(&signature.ident, RETURNS));
    };
    let wrong = || Error::new_spanned(found, RETURNS);
    let Type::Path(path) = &**found else { return Err(wrong()) };
    let last = path.path.segments.last().filter(|it| it.ident == "Result").ok_or_else(wrong)?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else { return Err(wrong()) };
    let Some(GenericArgument::Type(value)) = arguments.args.first() else { return Err(wrong()) };
    let finished = module(value, "Finished").ok_or_else(|| Error::new_spanned(value, RETURNS))?;
    match session {
        Some(session) if text(session) != text(&finished) => {
            let what = "this is the end of another session than the one that the function takes";
            Err(Error::new_spanned(value, what))
        }
        _ => Ok(()),
    }
}

fn text(path: &Path) -> String {
    path.to_token_stream().to_string()
}

/// The module in `module::Name`.
fn module(found: &Type, name: &str) -> Option<Path> {
    let Type::Path(found) = found else { return None };
    let mut path = found.path.clone();
    let last = path.segments.pop()?.into_value();
    // What is left ends with `::`.
    path.segments.pop_punct();
    (last.ident == name && !path.segments.is_empty()).then_some(path)
}
