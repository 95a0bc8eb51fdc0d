//! The attribute `#[task]` of the crate `concurrent-futures`, which re-exports and documents it.
//!
//! The attribute changes the function in two ways that give it one address in every build. The function is never
//! inlined, so no other crate has a copy of it. It begins by referring to its own name, so no other function has the
//! same body. After the function, the attribute adds its entry to the list of `named`, which the linker puts together.
//!
//! The attribute refuses a function that cannot be a task, with a sentence that says why. It keeps the function, so
//! that no second error follows from the first. Errors that depend on types are left to the compiler.

mod function;

use proc_macro::{Delimiter, Group, Ident, Literal, Punct, Spacing, Span, TokenStream, TokenTree};

use function::Function;

/// Why a function cannot be a task: one sentence, and what it is about.
struct CompileError {
    span: Span,
    text: String,
}

impl CompileError {
    fn new(span: Span, text: impl Into<String>) -> Self {
        Self { span, text: text.into() }
    }

    /// Returns tokens that make the compiler report the error.
    fn into_tokens(self) -> TokenStream {
        let text = Group::new(Delimiter::Brace, TokenTree::Literal(Literal::string(&self.text)).into());
        let macro_call = "::core::compile_error!".parse::<TokenStream>().expect("a path");
        let tokens = macro_call.into_iter().chain([TokenTree::Group(text)]);
        tokens.map(|token| at(token, self.span)).collect()
    }
}

/// Places a token, and what is inside it, where errors about it are to be shown.
fn at(mut token: TokenTree, span: Span) -> TokenTree {
    if let TokenTree::Group(group) = &token {
        let inner = group.stream().into_iter().map(|token| at(token, span)).collect();
        token = TokenTree::Group(Group::new(group.delimiter(), inner));
    }
    // Names in it are resolved where the attribute is.
    token.set_span(span.resolved_at(Span::call_site()));
    token
}

// The crate that re-exports the attribute documents it.
#[allow(missing_docs)]
#[proc_macro_attribute]
pub fn task(options: TokenStream, item: TokenStream) -> TokenStream {
    match expand(options, item.clone()) {
        Ok(expanded) => expanded,
        Err(error) => item.into_iter().chain(error.into_tokens()).collect(),
    }
}

fn expand(options: TokenStream, item: TokenStream) -> Result<TokenStream, CompileError> {
    let name = name(options)?;
    let Function { name: function, before, body, has_context } = Function::parse(item)?;
    let name = name.unwrap_or_else(|| {
        let text = function.to_string();
        let text = Literal::string(text.strip_prefix("r#").unwrap_or(&text));
        format!("::core::concat!(::core::module_path!(), \"::\", {text})").parse().expect("an expression")
    });
    let never_inlined: TokenStream = "#[inline(never)]".parse().expect("an attribute");
    Ok(never_inlined
        .into_iter()
        .chain(before)
        .chain([body_of(&body, &name)])
        .chain(entry(&function, &name, has_context))
        .collect())
}

/// Returns the body of the function, which refers to its name first.
fn body_of(body: &Group, name: &TokenStream) -> TokenTree {
    let mut inner = parsed("::concurrent_futures::named::attribute::own");
    inner.extend([TokenTree::Group(Group::new(Delimiter::Parenthesis, name.clone()))]);
    inner.extend([TokenTree::Punct(Punct::new(';', Spacing::Alone))]);
    inner.extend(body.stream());
    let mut whole = Group::new(Delimiter::Brace, inner);
    whole.set_span(body.span());
    TokenTree::Group(whole)
}

/// Returns the entry of the function in the list of all tasks.
fn entry(function: &Ident, name: &TokenStream, has_context: bool) -> impl Iterator<Item = TokenTree> {
    let span = function.span();
    let mut erase = parsed("use ::concurrent_futures::named::attribute::{ViaFallible as _, ViaPlain as _};");
    let mut probe = parsed("::concurrent_futures::named::attribute");
    probe.extend(parsed(if has_context { "::probe_in_context" } else { "::probe" }));
    probe.extend([TokenTree::Group(Group::new(Delimiter::Parenthesis, TokenTree::Ident(function.clone()).into()))]);
    let mut borrowed: TokenStream = TokenTree::Punct(Punct::new('&', Spacing::Alone)).into();
    borrowed.extend(probe);
    erase.extend([TokenTree::Group(Group::new(Delimiter::Parenthesis, borrowed))]);
    erase.extend(parsed(".erase()"));

    let mut arguments = name.clone();
    arguments.extend(parsed(", ::core::concat!(::core::file!(), \":\", ::core::line!()), ||"));
    arguments.extend([TokenTree::Group(Group::new(Delimiter::Brace, erase))]);
    let mut entry = parsed("::concurrent_futures::named::attribute::Entry::new");
    entry.extend([TokenTree::Group(Group::new(Delimiter::Parenthesis, arguments))]);
    let mut submit = parsed("::concurrent_futures::named::attribute::inventory::submit!");
    submit.extend([TokenTree::Group(Group::new(Delimiter::Brace, entry))]);

    let mut item = parsed("const _: () =");
    item.extend([TokenTree::Group(Group::new(Delimiter::Brace, submit))]);
    item.extend(parsed(";"));
    item.into_iter().map(move |token| at(token, span))
}

fn parsed(code: &str) -> TokenStream {
    code.parse().expect("Rust")
}

/// Returns the name that the attribute gives.
fn name(options: TokenStream) -> Result<Option<TokenStream>, CompileError> {
    let tokens: Vec<TokenTree> = options.into_iter().collect();
    let is = |token: &TokenTree, text: &str| token.to_string() == text;
    match tokens.as_slice() {
        [] => Ok(None),
        [key, equals, TokenTree::Literal(name)] if is(key, "name") && is(equals, "=") && is_text(name) => {
            if name.to_string() == "\"\"" {
                return Err(CompileError::new(name.span(), "the name of a task cannot be empty"));
            }
            Ok(Some(TokenTree::Literal(name.clone()).into()))
        }
        [first, ..] => Err(CompileError::new(first.span(), "the attribute is `#[task]` or `#[task(name = \"..\")]`")),
    }
}

fn is_text(literal: &Literal) -> bool {
    literal.to_string().starts_with(['"', 'r'])
}
