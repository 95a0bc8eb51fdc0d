//! A line of an access log.

/// Who asked for what, borrowed from a line in the common or the combined format of Apache:
/// `192.0.2.7 - - [10/Oct/2025:13:55:36 +0000] "GET /robots.txt HTTP/1.1" 200 68 "-" "Crawler/1.0"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Request<'line> {
    pub(crate) host: &'line [u8],
    /// Without the query. None if what came was no request, as when somebody talks TLS to a port that does not.
    pub(crate) path: Option<&'line [u8]>,
}

impl<'line> Request<'line> {
    /// None if it is no such line.
    pub(crate) fn parse(line: &'line [u8]) -> Option<Self> {
        let (host, rest) = split_at(line, b" ")?;
        // The client's own name and the user's. The latter may have spaces in it.
        let (names, rest) = split_at(rest, b" [")?;
        let (_time, rest) = split_at(rest, b"] \"")?;
        let end = end_of_quoted(rest)?;
        let (request, rest) = (&rest[..end], &rest[end + 1..]);
        let complete = !host.is_empty() && names.contains(&b' ') && is_answer(rest);
        complete.then(|| Self { host, path: path(request) })
    }
}

/// What stands before and after a separator.
fn split_at<'line>(line: &'line [u8], separator: &[u8]) -> Option<(&'line [u8], &'line [u8])> {
    let at = line.windows(separator.len()).position(|window| window == separator)?;
    Some((&line[..at], &line[at + separator.len()..]))
}

/// Where the quotation mark is that is not part of the text.
fn end_of_quoted(text: &[u8]) -> Option<usize> {
    let mut escaped = false;
    text.iter().position(|&byte| {
        let end = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        end
    })
}

/// Is it ` 200 68`, and after that nothing or more fields?
fn is_answer(rest: &[u8]) -> bool {
    let mut fields = rest.split(|&byte| byte == b' ');
    let number = |field: &[u8]| !field.is_empty() && field.iter().all(u8::is_ascii_digit);
    let nothing = fields.next().is_some_and(<[u8]>::is_empty);
    let status = fields.next().is_some_and(|status| status.len() == 3 && number(status));
    let size = fields.next().is_some_and(|size| size == b"-" || number(size));
    nothing && status && size
}

fn path(request: &[u8]) -> Option<&[u8]> {
    let mut words = request.split(|&byte| byte == b' ');
    let target = words.nth(1)?;
    target.split(|&byte| byte == b'?').next()
}

#[cfg(test)]
mod tests {
    //! Which lines are understood, and how.
    use super::Request;

    fn parsed(line: &str) -> Option<(&str, Option<&str>)> {
        let text = |bytes| std::str::from_utf8(bytes).unwrap();
        Request::parse(line.as_bytes()).map(|request| (text(request.host), request.path.map(text)))
    }

    #[test]
    fn common_and_combined_lines_are_understood() {
        for (line, host, path) in [
            (
                r#"192.0.2.7 - - [10/Oct/2025:13:55:36 +0000] "GET /robots.txt HTTP/1.1" 200 68"#,
                "192.0.2.7",
                "/robots.txt",
            ),
            (r#"::1 - - [10/Oct/2025:13:55:36 -0700] "GET /a?b=/robots.txt HTTP/1.1" 404 - "-" "x y""#, "::1", "/a"),
            (r#"bot.example - a user [x] "HEAD /\"quoted\" HTTP/1.0" 304 0 "-" "-""#, "bot.example", r#"/\"quoted\""#),
            (r#"h - - [x] "GET /" 200 5"#, "h", "/"),
        ] {
            assert_eq!(parsed(line), Some((host, Some(path))), "{line}");
        }
    }

    #[test]
    fn what_was_no_request_has_no_path() {
        for line in [r#"h - - [x] "-" 408 -"#, r#"h - - [x] "" 400 226"#, r#"h - - [x] "\x16\x03\x01" 400 226"#] {
            assert_eq!(parsed(line), Some(("h", None)), "{line}");
        }
    }

    #[test]
    fn other_lines_are_refused() {
        for line in [
            "",
            "hello",
            r#" - - [x] "GET / HTTP/1.1" 200 5"#,
            r#"h - [x] "GET / HTTP/1.1" 200 5"#,
            r#"h - - x "GET / HTTP/1.1" 200 5"#,
            r#"h - - [x] "GET / HTTP/1.1 200 5"#,
            r#"h - - [x] "GET / HTTP/1.1\" 200 5"#,
            r#"h - - [x] "GET / HTTP/1.1" 2000 5"#,
            r#"h - - [x] "GET / HTTP/1.1" 200 "#,
            r#"h - - [x] "GET / HTTP/1.1" 200"#,
            r#"h - - [x] "GET / HTTP/1.1""#,
            "[Fri Oct 10 13:55:36 2025] [core:error] [pid 7] AH00126: Invalid URI in request",
        ] {
            assert_eq!(parsed(line), None, "{line}");
        }
    }
}
