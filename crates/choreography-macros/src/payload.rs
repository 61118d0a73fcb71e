//! `#[derive(Payload)]`: the layout of a struct or an enum.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{
    Attribute, Error, Field, Fields, GenericParam, Generics, Ident, Item, Path, Result, Token,
    parse_quote,
};

use crate::{error::Errors, parse::default_runtime};

/// Writes the implementation.
///
/// # Errors
/// What makes the type no payload.
pub(crate) fn expand(item: TokenStream) -> Result<TokenStream> {
    let mut errors = Errors::default();
    let (name, attributes, generics, fields, shape, parts) = match syn::parse2(item)? {
        Item::Struct(it) => {
            let fields: Vec<Field> = it.fields.iter().cloned().collect();
            (it.ident, it.attrs, it.generics, fields, quote!(Fields), struct_parts(&it.fields))
        }
        Item::Enum(it) => {
            let parts: Vec<_> = it.variants.iter().map(variant).collect();
            let fields = it.variants.iter().flat_map(|it| it.fields.iter().cloned()).collect();
            (it.ident, it.attrs, it.generics, fields, quote!(Variants), parts)
        }
        other => return Err(Error::new_spanned(other, "a payload is a struct or an enum")),
    };
    check(&name, &generics, &fields, &mut errors);
    let runtime = errors.keep(runtime(&attributes)).unwrap_or_else(default_runtime);
    let generics = bounded(generics, &runtime);
    let (of, arguments, bounds) = generics.split_for_impl();
    let head = name.to_string();
    errors.or(quote! {
        #[automatically_derived]
        impl #of #runtime::Payload for #name #arguments #bounds {
            const LAYOUT: #runtime::Layout = {
                use #runtime as __aura;
                __aura::Layout { head: #head, shape: __aura::Shape::#shape, parts: &[#(#parts),*] }
            };
        }
    })
}

fn check(name: &Ident, generics: &Generics, fields: &[Field], errors: &mut Errors) {
    for lifetime in generics.lifetimes() {
        errors.at(lifetime, "a payload owns what it carries: it has no lifetimes");
    }
    for field in fields {
        let is_skipped = |it: &&Attribute| {
            it.path().is_ident("borsh") && it.to_token_stream().to_string().contains("skip")
        };
        if let Some(skipped) = field.attrs.iter().find(is_skipped) {
            let what = "a payload is what is encoded: leave out a field that is not";
            errors.at(skipped, what);
        }
        let mentions_itself = field.ty.to_token_stream().into_iter().any(|it| mentions(&it, name));
        if mentions_itself {
            let what = "a payload cannot contain itself: its layout would have no end";
            errors.at(&field.ty, what);
        }
    }
}

fn mentions(token: &proc_macro2::TokenTree, name: &Ident) -> bool {
    match token {
        proc_macro2::TokenTree::Ident(it) => it == name || it == "Self",
        proc_macro2::TokenTree::Group(it) => it.stream().into_iter().any(|it| mentions(&it, name)),
        _ => false,
    }
}

/// `#[payload(crate = path)]`
fn runtime(attributes: &[Attribute]) -> Result<Path> {
    let Some(attribute) = attributes.iter().find(|it| it.path().is_ident("payload")) else {
        return Ok(default_runtime());
    };
    attribute.parse_args_with(|input: syn::parse::ParseStream<'_>| {
        input.parse::<Token![crate]>()?;
        input.parse::<Token![=]>()?;
        input.call(Path::parse_mod_style)
    })
}

/// The type's parameters, each of which has to be a payload.
fn bounded(mut generics: Generics, runtime: &Path) -> Generics {
    for parameter in &mut generics.params {
        if let GenericParam::Type(it) = parameter {
            it.bounds.push(parse_quote!(#runtime::Payload));
        }
    }
    generics
}

fn layout(field: &Field) -> TokenStream {
    let payload = &field.ty;
    quote!(&<#payload as __aura::Payload>::LAYOUT)
}

/// The parts of a struct: a name, empty in a tuple, and its layout.
fn struct_parts(fields: &Fields) -> Vec<TokenStream> {
    let part = |field: &Field| {
        let (name, layout) = (field.ident.as_ref().map_or_else(String::new, text), layout(field));
        quote!((#name, #layout))
    };
    fields.iter().map(part).collect()
}

fn variant(variant: &syn::Variant) -> TokenStream {
    let name = text(&variant.ident);
    let mut fields = variant.fields.iter();
    let layout = match (&variant.fields, fields.next(), fields.next()) {
        (_, None, _) => quote!(&__aura::Layout::leaf("unit")),
        (Fields::Unnamed(_), Some(only), None) => layout(only),
        (fields, ..) => {
            let parts = struct_parts(fields);
            quote!(&__aura::Layout { head: "", shape: __aura::Shape::Fields, parts: &[#(#parts),*] })
        }
    };
    quote!((#name, #layout))
}

fn text(name: &Ident) -> String {
    name.to_string().trim_start_matches("r#").to_string()
}
