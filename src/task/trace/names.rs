//! The name of a task's function in its span.
#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::sync::OnceLock;

use crate::task::encoded::Entry;

type NameResolver = fn(usize) -> Option<String>;

static NAME_RESOLVER: OnceLock<NameResolver> = OnceLock::new();

/// Sets how the name of a plain function is found by its address. Only the first call has an effect.
pub(crate) fn set_name_resolver(resolver: NameResolver) {
    NAME_RESOLVER.get_or_init(|| resolver);
}

/// Returns the name of a plain function, or its type.
pub(super) fn name_of(entry: Entry) -> Cow<'static, str> {
    let named = NAME_RESOLVER.get().and_then(|resolve| resolve(entry.function));
    named.map_or(Cow::Borrowed(entry.signature), Cow::Owned)
}

/// Returns the name of the user's function or closure, taken out of the name of this crate's type around it.
///
/// Rust does not fix the form of type names. The result is only for people to read: if the form changes, it says less.
pub(super) fn function_of(call: &'static str) -> Cow<'static, str> {
    let mut name = call;
    loop {
        let path = name.trim_start_matches('<');
        if !path.starts_with(concat!(env!("CARGO_CRATE_NAME"), "::")) {
            return Cow::Borrowed(name);
        }
        let Some((method, arguments)) = generics(path) else { return Cow::Borrowed(name) };
        let first = arguments[0];
        let is_pointer = method.ends_with("::Infallible") || method.ends_with("::TryFn");
        if let (true, Some(result)) = (is_pointer, arguments.get(1)) {
            return Cow::Owned(format!("fn({first}) -> {result}"));
        }
        // The first type argument of these is the type of the input.
        let takes_input = ["submit_after", "map", "map_unordered", "Via"].iter().any(|end| method.ends_with(end));
        name = if takes_input { arguments.get(1).copied().unwrap_or(first) } else { first };
    }
}

/// Returns the path up to the first generic arguments that are types, and these arguments.
fn generics(path: &str) -> Option<(&str, Vec<&str>)> {
    let mut from = 0;
    while let Some(start) = path[from..].find('<').map(|at| from + at) {
        let inside = &path[start + 1..];
        let (mut found, length) = arguments(inside);
        found.retain(|argument| !argument.starts_with('\''));
        if !inside.starts_with("impl ") && !found.is_empty() {
            return Some((path[..start].trim_end_matches("::"), found));
        }
        from = start + 1 + length;
    }
    None
}

/// Returns the generic arguments that `text` begins with, and their length.
fn arguments(text: &str) -> (Vec<&str>, usize) {
    let (mut found, mut depth, mut start, mut before) = (Vec::new(), 0, 0, ' ');
    for (at, character) in text.char_indices() {
        match character {
            '<' | '(' | '[' => depth += 1,
            '>' if before == '-' => {}
            '>' | ')' | ']' if depth > 0 => depth -= 1,
            '>' => {
                found.push(text[start..at].trim());
                return (found, at);
            }
            ',' if depth == 0 => {
                found.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
        before = character;
    }
    (found, text.len())
}

#[cfg(test)]
mod tests {
    use super::function_of;
    use crate::task::call::LocalCall;
    use crate::task::function::Infallible;

    #[test]
    fn a_function_is_found_in_the_type_of_its_call() {
        struct Executor;
        impl Executor {
            fn submit<F: FnOnce(u8) -> u8, A>(&self, function: F, _: A) -> &'static str {
                let call = move || function(1);
                name(&LocalCall(call))
            }
            fn submit_after<I, F: FnOnce(u8) -> u8>(&self, _: I, function: F) -> &'static str {
                name(&LocalCall(move || function(1)))
            }
        }
        fn name<T>(_: &T) -> &'static str {
            std::any::type_name::<T>()
        }
        fn plain(n: u8) -> u8 {
            n
        }
        let here = concat!(module_path!(), "::a_function_is_found_in_the_type_of_its_call");
        // Code of this crate is taken for a part of it, down to what has no generics.
        assert_eq!(function_of(Executor.submit(plain, vec![(1, [2])])), format!("{here}::plain"));
        assert_eq!(function_of(Executor.submit_after((1, 2), plain)), format!("{here}::plain"));
        let seed = 1;
        assert_eq!(function_of(Executor.submit(move |n| n + seed, 1)), format!("{here}::{{{{closure}}}}"));
        assert_eq!(function_of(name(&Infallible(plain))), "fn(u8) -> u8");
        assert_eq!(function_of("a::b<c>::{{closure}}"), "a::b<c>::{{closure}}");
        let nested = "concurrent_futures::task::call::LocalCall<a::f<fn(u8) -> b<c, d>, e>::{{closure}}>";
        assert_eq!(function_of(nested), "a::f<fn(u8) -> b<c, d>, e>::{{closure}}");
        let scoped = "concurrent_futures::thread::scope::Scope<'_, '_>::spawn<a::f, u8>::{{closure}}";
        assert_eq!(function_of(scoped), "a::f");
        let with = "concurrent_futures::thread::closures::<impl concurrent_futures::with::With<'_, b>>::spawn<a::f>::{{closure}}";
        assert_eq!(function_of(with), "a::f");
    }
}
