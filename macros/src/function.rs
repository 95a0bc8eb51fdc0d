//! [`Function`]: the function that the attribute stands on, as far as it matters whether it can be a task.

use proc_macro::{Delimiter, Group, Ident, TokenStream, TokenTree};

use crate::CompileError;

/// A function that can be a task.
pub(crate) struct Function {
    pub(crate) name: Ident,
    /// All tokens but the body.
    pub(crate) before: Vec<TokenTree>,
    pub(crate) body: Group,
    /// Its first parameter is a context, which it borrows.
    pub(crate) has_context: bool,
}

impl Function {
    pub(crate) fn parse(item: TokenStream) -> Result<Self, CompileError> {
        let mut before: Vec<TokenTree> = item.into_iter().collect();
        let first = before.first().map_or_else(proc_macro::Span::call_site, TokenTree::span);
        let no_function = || CompileError::new(first, "`#[task]` is for functions");
        let keyword = before.iter().position(|token| is_word(token, "fn")).ok_or_else(no_function)?;
        let Some(TokenTree::Ident(name)) = before.get(keyword + 1).cloned() else { return Err(no_function()) };
        for token in &before[..keyword] {
            if let Some(word) = ["async", "unsafe", "extern"].iter().find(|word| is_word(token, word)) {
                let text = format!("a task cannot be `{word}`: executors call functions of the type `fn(A) -> R`");
                return Err(CompileError::new(token.span(), text));
            }
        }
        let has_context = match before.get(keyword + 2) {
            Some(TokenTree::Group(parameters)) if parameters.delimiter() == Delimiter::Parenthesis => {
                check_parameters(&name, parameters)?
            }
            _ => return Err(is_generic(&name)),
        };
        match before.pop() {
            Some(TokenTree::Group(body)) if body.delimiter() == Delimiter::Brace => {
                Ok(Self { name, before, body, has_context })
            }
            _ => Err(CompileError::new(name.span(), format!("a task has a body, and `{name}` has none"))),
        }
    }
}

fn is_generic(name: &Ident) -> CompileError {
    let text = format!(
        "a task has one name and so one type, and `{name}` is generic: put `#[task]` on a function that calls it with \
         the types you need"
    );
    CompileError::new(name.span(), text)
}

/// Returns `true` if the function has a context.
fn check_parameters(name: &Ident, parameters: &Group) -> Result<bool, CompileError> {
    let parameters_of_it = split_at_commas(parameters.stream());
    if let Some(token) = find(parameters.stream(), &|token| is_word(token, "impl")) {
        return Err(CompileError { span: token.span(), ..is_generic(name) });
    }
    let first = parameters_of_it.first().map_or(&[][..], |first| first.as_slice());
    if let Some(token) = first.iter().take_while(|token| !is_punct(token, ':')).find(|token| is_word(token, "self")) {
        let text = format!("a method cannot be a task: put `#[task]` on a function that calls `{name}`");
        return Err(CompileError::new(token.span(), text));
    }
    let (parameter, has_context) = match parameters_of_it.as_slice() {
        [parameter] => (parameter, false),
        [context, parameter] if borrows(context) => (parameter, true),
        _ => return Err(wrong_count(name, parameters, parameters_of_it.len())),
    };
    let types = parameter.iter().skip_while(|token| !is_punct(token, ':')).cloned().collect();
    match find(types, &|token| is_punct(token, '&')) {
        Some(token) => {
            let text = "a task owns its argument, because other programs send it: take a `String` in place of a `&str`, \
                        and a `Vec` in place of a slice";
            Err(CompileError::new(token.span(), text))
        }
        None => Ok(has_context),
    }
}

/// Returns `true` if the type of the parameter is a shared reference to a type without references.
fn borrows(parameter: &[TokenTree]) -> bool {
    let mut types = parameter.iter().skip_while(|token| !is_punct(token, ':')).skip(1);
    let is_reference = types.next().is_some_and(|token| is_punct(token, '&'));
    let mut inner = types.cloned().peekable();
    is_reference
        && inner.peek().is_some_and(|token| !is_word(token, "mut"))
        && find(inner.collect(), &|token| is_punct(token, '&')).is_none()
}

fn wrong_count(name: &Ident, parameters: &Group, count: usize) -> CompileError {
    let text = match count {
        0 => format!("a task has one parameter, and `{name}` has none: add one, as in `fn {name}(_: ())`"),
        count => format!(
            "a task has one parameter, and `{name}` has {count}: make them a tuple, as in `fn {name}((a, b): (A, B))`, or \
             let the first of two be a context, as in `fn {name}(context: &C, a: A)`"
        ),
    };
    CompileError::new(parameters.span(), text)
}

/// Splits a list, such as that of the parameters. A comma between angle brackets belongs to a type.
fn split_at_commas(list: TokenStream) -> Vec<Vec<TokenTree>> {
    let (mut parts, mut depth, mut after_dash) = (vec![Vec::new()], 0, false);
    for token in list {
        // The bracket of `->` closes nothing.
        depth += i32::from(is_punct(&token, '<')) - i32::from(is_punct(&token, '>') && !after_dash);
        after_dash = is_punct(&token, '-');
        if is_punct(&token, ',') && depth == 0 {
            parts.push(Vec::new());
        } else if let Some(part) = parts.last_mut() {
            part.push(token);
        }
    }
    parts.retain(|part| !part.is_empty());
    parts
}

/// Returns the first token that is wanted, also if it is inside brackets.
fn find(tokens: TokenStream, is_wanted: &dyn Fn(&TokenTree) -> bool) -> Option<TokenTree> {
    tokens.into_iter().find_map(|token| match &token {
        TokenTree::Group(group) => find(group.stream(), is_wanted),
        _ => is_wanted(&token).then_some(token),
    })
}

fn is_word(token: &TokenTree, word: &str) -> bool {
    matches!(token, TokenTree::Ident(ident) if ident.to_string() == word)
}

fn is_punct(token: &TokenTree, character: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == character)
}
