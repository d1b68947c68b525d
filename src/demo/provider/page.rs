//! The three pages a person sees at the provider: enter a code, confirm it, and the result.
//!
//! Plain HTML without script, styled inline, working without any other request. The only foreign
//! text that reaches a page is escaped here.

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};

use crate::demo::loopback::{Answer, answer};

/// Shows the form that approves or refuses `user_code`; with an unknown code, the form alone.
pub(super) fn form(status: StatusCode, person: &str, user_code: &str, note: &str) -> Answer {
    let (person, user_code, note) = (escaped(person), escaped(user_code), escaped(note));
    page(
        status,
        "Sign in to ddgate",
        &format!(
            r#"<p class="note">{note}</p>
<form method="post" action="/device">
<label>Code shown in your terminal
<input name="user_code" value="{user_code}" autocomplete="off" autocapitalize="characters" spellcheck="false" placeholder="ABCD-EFGH"></label>
<p>You are <b>{person}</b>. Approve only if this is the code that your own terminal shows.</p>
<button name="action" value="approve">Approve</button>
<button name="action" value="deny" class="quiet">Deny</button>
</form>"#
        ),
    )
}

/// Shows what became of a code.
pub(super) fn result(title: &str, text: &str) -> Answer {
    page(StatusCode::OK, title, &format!("<p>{}</p>", escaped(text)))
}

fn page(status: StatusCode, title: &str, body: &str) -> Answer {
    let title = escaped(title);
    let html = format!(
        r#"<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
body{{font:16px/1.5 system-ui,sans-serif;max-width:26rem;margin:12vh auto;padding:0 1rem;color:#222}}
input{{display:block;width:100%;box-sizing:border-box;font:600 1.5rem ui-monospace,monospace;letter-spacing:.1em;padding:.5rem;margin:.3rem 0 1rem}}
button{{font:inherit;padding:.5rem 1.2rem;border:1px solid #632ca6;border-radius:.4rem;background:#632ca6;color:#fff;cursor:pointer}}
.quiet{{background:none;color:#632ca6}} .note{{color:#a33}} .note:empty{{display:none}} footer{{margin-top:3rem;color:#777;font-size:.85rem}}
@media(prefers-color-scheme:dark){{body{{background:#18181b;color:#eee}}.note{{color:#f88}}}}
</style></head>
<body><h1>{title}</h1>
{body}
<footer>The demo's identity provider. It runs on this machine only and ends with the demo.</footer>
</body></html>
"#
    );
    let mut answer = answer(status, "text/html; charset=utf-8", Bytes::from(html));
    for (name, value) in [
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'",
        ),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        answer
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    answer
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_escapes_the_attribute() {
        let page = form(StatusCode::OK, "A & B", "\"><script>x</script>", "");
        let html = String::from_utf8(page.body().to_vec()).unwrap();
        assert!(html.contains("A &amp; B"));
        assert!(html.contains("value=\"&quot;&gt;&lt;script&gt;"));
        assert!(!html.contains("<script"));
    }
}
