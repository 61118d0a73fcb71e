//! One pass over a module's sections: counts before contents, contents before validation.

use wasmparser::{
    CustomSectionReader, Encoding, ExternalKind, FuncToValidate, FuncType, FunctionBody,
    ImportSectionReader, MemoryType, Parser, Payload, TableInit, TableType, TypeSectionReader,
    ValidPayload, Validator, ValidatorResources,
};

use super::{
    body::{self, Body},
    feature,
    findings::Findings,
    usage::Tally,
};
use crate::{limits, refused::Refused};

/// What the later steps need to know of a module.
#[derive(Debug, Default)]
pub(super) struct Shape<'a> {
    /// The function types, by index.
    pub types: Vec<FuncType>,
    /// The type of each function, by index. There are no imports, so all have bodies.
    pub functions: Vec<u32>,
    /// What each function's body needs.
    pub bodies: Vec<Body>,
    /// How many globals there are.
    pub globals: u32,
    /// What is exported: name, kind, index.
    pub exports: Vec<(&'a str, ExternalKind, u32)>,
    /// The content of the descriptor's section.
    pub descriptor: Option<&'a [u8]>,
    /// How near it came to each limit.
    pub tally: Tally,
}

/// Checks everything of a module but its exports and the descriptor's content.
pub(super) fn scan(bytes: &[u8]) -> Result<Shape<'_>, Refused> {
    let mut scanner = Scanner::new();
    for payload in Parser::new(0).parse_all(bytes) {
        scanner.payload(&payload?)?;
    }
    Ok(scanner.shape)
}

/// The same checks, but goes on after a refusal where what follows can still be judged: every rule that
/// the module breaks, in the order in which they were broken first.
pub(super) fn survey(bytes: &[u8]) -> (Shape<'_>, Findings) {
    let mut scanner = Scanner::new();
    let (mut found, mut is_valid) = (Findings::default(), true);
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = match payload {
            Ok(payload) => payload,
            Err(error) => {
                found.note(error.into());
                break; // What follows cannot be found.
            }
        };
        let checked = scanner.check(&payload);
        let is_in_order = checked.is_ok();
        found.extend(checked.err());
        // The validator knows what came before; behind what it did not take, it says nothing sensible.
        if is_valid && let Err(refused) = scanner.validate(&payload) {
            is_valid = matches!(payload, Payload::CodeSectionEntry(_));
            found.extend(is_in_order.then_some(refused));
        }
    }
    (scanner.shape, found)
}

/// Keeps the descriptor's section, of which there must be at most one.
pub(super) fn take_descriptor<'a>(
    section: &mut Option<&'a [u8]>,
    custom: &CustomSectionReader<'a>,
) -> Result<(), Refused> {
    if custom.name() != aura_protocol_core::abi::DESCRIPTOR_SECTION {
        return Ok(());
    }
    match section.replace(custom.data()) {
        None => Ok(()),
        Some(_) => Err(Refused::DescriptorMalformed { reason: "there are two of it".to_owned() }),
    }
}

struct Scanner<'a> {
    validator: Validator,
    shape: Shape<'a>,
    work: u64,
    time: u64,
    code_bytes: u64,
    custom_sections: u64,
}

impl<'a> Scanner<'a> {
    fn new() -> Self {
        Self {
            validator: Validator::new_with_features(feature::ALLOWED),
            shape: Shape::default(),
            work: 0,
            time: 0,
            code_bytes: 0,
            custom_sections: 0,
        }
    }

    /// Our own rules first, so that a refusal names the rule; then the validator's.
    fn payload(&mut self, payload: &Payload<'a>) -> Result<(), Refused> {
        self.check(payload)?;
        self.validate(payload)
    }

    fn validate(&mut self, payload: &Payload<'a>) -> Result<(), Refused> {
        if let ValidPayload::Func(function, body) = self.validator.payload(payload)? {
            self.body(function, &body)?;
        }
        Ok(())
    }

    fn check(&mut self, payload: &Payload<'a>) -> Result<(), Refused> {
        let tally = &mut self.shape.tally;
        match payload {
            Payload::Version { encoding: Encoding::Component, .. } => {
                return Err(Refused::FeatureNotAllowed { feature: "components" });
            }
            Payload::TypeSection(section) => {
                tally.within("types", section.count(), limits::TYPES_MAX)?;
                self.types(section.clone())?;
            }
            Payload::ImportSection(section) => refuse_imports(section)?,
            Payload::FunctionSection(section) => {
                tally.within("functions", section.count(), limits::FUNCTIONS_MAX)?;
                self.shape.functions = section.clone().into_iter().collect::<Result<_, _>>()?;
            }
            Payload::TableSection(section) => {
                if 1 < section.count() {
                    return Err(Refused::FeatureNotAllowed { feature: "several tables" });
                }
                for table in section.clone() {
                    let table = table?;
                    check_table(table.ty, &table.init, tally)?;
                }
            }
            Payload::MemorySection(section) => {
                if 1 < section.count() {
                    return Err(Refused::FeatureNotAllowed { feature: "several memories" });
                }
                for memory in section.clone() {
                    check_memory(memory?, tally)?;
                }
            }
            Payload::TagSection(_) => {
                return Err(Refused::FeatureNotAllowed { feature: "exceptions" });
            }
            Payload::GlobalSection(section) => {
                tally.within("globals", section.count(), limits::GLOBALS_MAX)?;
                self.shape.globals = section.count();
                for global in section.clone() {
                    feature::of_type(global?.ty.content_type)?;
                }
            }
            Payload::ExportSection(section) => {
                tally.within("exports", section.count(), limits::EXPORTS_MAX)?;
                for export in section.clone() {
                    let export = export?;
                    self.shape.exports.push((export.name, export.kind, export.index));
                }
            }
            Payload::StartSection { .. } => return Err(Refused::StartFunction),
            Payload::ElementSection(section) => {
                tally.within("element segments", section.count(), limits::ELEMENT_SEGMENTS_MAX)?;
            }
            Payload::DataSection(section) => {
                tally.within("data segments", section.count(), limits::DATA_SEGMENTS_MAX)?;
            }
            Payload::CodeSectionEntry(body) => self.code(body)?,
            Payload::CustomSection(section) => {
                self.custom_sections += 1;
                let limit = limits::CUSTOM_SECTIONS_MAX;
                tally.within("custom sections", self.custom_sections, limit)?;
                take_descriptor(&mut self.shape.descriptor, section)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn types(&mut self, section: TypeSectionReader<'a>) -> Result<(), Refused> {
        for ty in section.into_iter_err_on_gc_types() {
            let ty = ty?;
            let (params, results) = (ty.params(), ty.results());
            let tally = &mut self.shape.tally;
            tally.within("parameters", params.len() as u64, limits::PARAMS_MAX)?;
            tally.within("results", results.len() as u64, limits::PARAMS_MAX)?;
            params.iter().chain(results).try_for_each(|it| feature::of_type(*it))?;
            self.shape.types.push(ty);
        }
        Ok(())
    }

    fn code(&mut self, body: &FunctionBody<'_>) -> Result<(), Refused> {
        let bytes = body.range().end - body.range().start;
        let tally = &mut self.shape.tally;
        tally.within("function bytes", bytes, limits::FUNCTION_BYTES_MAX)?;
        self.code_bytes += bytes;
        tally.within("code bytes", self.code_bytes, limits::CODE_BYTES_MAX)?;
        let mut locals = 0;
        for group in body.get_locals_reader()? {
            let (count, ty) = group?;
            feature::of_type(ty)?;
            locals += u64::from(count);
            tally.within("locals", locals, limits::LOCALS_MAX)?;
        }
        Ok(())
    }

    fn body(
        &mut self,
        function: FuncToValidate<ValidatorResources>,
        body: &FunctionBody<'_>,
    ) -> Result<(), Refused> {
        let tally = &mut self.shape.tally;
        let body = body::check(function, body, tally)?;
        self.work += body.work;
        tally.within("module compile work", self.work, limits::MODULE_WORK_MAX)?;
        self.time += body.time + limits::FUNCTION_TIME_UNITS;
        tally.within("module compile time", self.time, limits::MODULE_TIME_MAX)?;
        self.shape.bodies.push(body);
        Ok(())
    }
}

/// A module imports nothing; the first that it wants is named.
fn refuse_imports(section: &ImportSectionReader<'_>) -> Result<(), Refused> {
    let Some(import) = section.clone().into_imports().next() else { return Ok(()) };
    let import = import?;
    let name = format!("{}.{}", import.module, import.name);
    Err(Refused::ImportNotAllowed { import: shorten(&name) })
}

fn check_table(ty: TableType, init: &TableInit<'_>, tally: &mut Tally) -> Result<(), Refused> {
    if ty.table64 || ty.shared {
        return Err(Refused::FeatureNotAllowed { feature: "64-bit or shared tables" });
    }
    if !ty.element_type.is_func_ref() || matches!(init, TableInit::Expr(_)) {
        return Err(Refused::FeatureNotAllowed { feature: "reference types" });
    }
    let limit = limits::TABLE_ELEMENTS_MAX;
    tally.within("table elements", ty.initial, limit)?;
    tally.within("table elements", ty.maximum.unwrap_or(0), limit)
}

fn check_memory(ty: MemoryType, tally: &mut Tally) -> Result<(), Refused> {
    let feature = match ty {
        MemoryType { shared: true, .. } => Some("threads"),
        MemoryType { memory64: true, .. } => Some("64-bit memory"),
        MemoryType { page_size_log2: Some(_), .. } => Some("custom page sizes"),
        _ => None,
    };
    if let Some(feature) = feature {
        return Err(Refused::FeatureNotAllowed { feature });
    }
    let limit = limits::MEMORY_INITIAL_PAGES_MAX;
    tally.within("initial memory pages", ty.initial, limit)?;
    tally.within("memory pages", ty.maximum.unwrap_or(0), limits::MEMORY_PAGES_MAX)
}

/// A name from a hostile module, short enough for a log line.
fn shorten(name: &str) -> String {
    name.chars().filter(|it| !it.is_control()).take(128).collect()
}
