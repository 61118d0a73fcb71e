//! Rust text as far as rules need to understand it: what is code, what is comment, what is test.

/// The same text with comments and the contents of strings blanked out, line by line in place.
pub fn code_only(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(token) = next_token(rest) {
        let (taken, after) = rest.split_at(token.len);
        if token.blank {
            out.extend(taken.chars().map(|it| if it == '\n' { '\n' } else { ' ' }));
        } else {
            out.push_str(taken);
        }
        rest = after;
    }
    out
}

/// A piece of text and whether a rule should see it.
struct Token {
    len: usize,
    blank: bool,
}

fn next_token(text: &str) -> Option<Token> {
    let first = text.chars().next()?;
    let blank = |len| Some(Token { len, blank: true });
    if text.starts_with("//") {
        return blank(text.find('\n').unwrap_or(text.len()));
    }
    if text.starts_with("/*") {
        return blank(block_comment_len(text));
    }
    if let Some(len) = raw_string_len(text) {
        return blank(len);
    }
    if first == '"' {
        return blank(quoted_len(text, '"'));
    }
    if first == '\'' {
        // A lifetime has no closing quote after one character.
        let is_char = text.starts_with("'\\") || text.chars().nth(2) == Some('\'');
        return if is_char { blank(quoted_len(text, '\'')) } else { Some(plain(1)) };
    }
    let word = text.find(|it: char| !is_word(it)).unwrap_or(text.len());
    Some(plain(if word > 0 { word } else { first.len_utf8() }))
}

fn plain(len: usize) -> Token {
    Token { len, blank: false }
}

/// Whether a character can be part of a name.
pub fn is_word(it: char) -> bool {
    it.is_alphanumeric() || it == '_'
}

fn block_comment_len(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|it| !it.is_empty()) {
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// The length of `r"…"`, `r#"…"#` and their byte forms, if `text` starts with one.
fn raw_string_len(text: &str) -> Option<usize> {
    let after = text.strip_prefix("br").or_else(|| text.strip_prefix('r'))?;
    let body = after.trim_start_matches('#');
    let hashes = after.len() - body.len();
    let body = body.strip_prefix('"')?;
    let close = format!("\"{}", "#".repeat(hashes));
    let open = text.len() - body.len();
    Some(body.find(&close).map_or(text.len(), |it| open + it + close.len()))
}

/// The length of a literal that starts and ends with `quote` and may escape it.
fn quoted_len(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, it) in text.char_indices().skip(1) {
        if escaped {
            escaped = false;
        } else if it == '\\' {
            escaped = true;
        } else if it == quote {
            return at + it.len_utf8();
        }
    }
    text.len()
}

/// Splits a file into what ships and the tests at its bottom.
pub fn split_tests(text: &str) -> (&str, &str) {
    let mut at = 0;
    let mut lines = text.split_inclusive('\n').peekable();
    while let Some(line) = lines.next() {
        let opens = lines.peek().is_some_and(|next| next.trim_start().starts_with("mod tests"));
        if line.trim() == "#[cfg(test)]" && opens {
            return text.split_at(at);
        }
        at += line.len();
    }
    (text, "")
}

/// Lines from 1 with their text.
pub fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(index, line)| (index + 1, line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, visible: &str) {
        let code = code_only(text);
        assert_eq!(code.lines().count(), text.lines().count());
        assert_eq!(code.split_whitespace().collect::<Vec<_>>().join(" "), visible);
    }

    #[test]
    fn comments_are_blank() {
        check("let a; // redb::x\nlet b;", "let a; let b;");
        check("a /* b /* c */ d */ e", "a e");
        check("a /* never closed", "a");
    }

    #[test]
    fn strings_are_blank() {
        check(r#"f("redb:: \" //", x)"#, "f( , x)");
        check("f(r#\"a \" b\"#, br\"c\", y)", "f( , , y)");
        check("let raw = 1; for x", "let raw = 1; for x");
        check("'a' '\\'' '\"' x", "x");
    }

    #[test]
    fn lifetimes_are_code() {
        check("fn f<'a>(x: &'a str)", "fn f<'a>(x: &'a str)");
    }

    #[test]
    fn tests_are_told_from_code() {
        let text = "fn a() {}\n#[cfg(test)]\nfn helper() {}\n#[cfg(test)]\nmod tests {\n}\n";
        let (code, tests) = split_tests(text);
        assert_eq!(code, "fn a() {}\n#[cfg(test)]\nfn helper() {}\n");
        assert!(tests.starts_with("#[cfg(test)]\nmod tests"));
        assert_eq!(split_tests("fn a() {}"), ("fn a() {}", ""));
    }
}
