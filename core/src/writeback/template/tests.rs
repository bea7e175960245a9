//! Renderings, refusals and bounds.

use super::*;

#[test]
fn loops_and_doublings_end_in_an_error() {
    for source in [
        "{{range 1000000000}}x{{end}}",
        "{{range 1000000000}}{{end}}",
        "{{range 9999}}{{range 9999}}{{$x := print .}}{{end}}{{end}}",
        "{{$x := \"xx\"}}{{range 100}}{{$x = print $x $x}}{{end}}",
        "{{define \"a\"}}{{template \"a\" .}}{{end}}{{template \"a\" .}}",
        "{{define \"a\"}}{{template \"b\" .}}{{template \"b\" .}}{{end}}{{define \"b\"}}{{template \"a\" .}}{{end}}{{template \"a\"}}",
        "{{printf \"%999999d\" 1}}",
        "{{printf \"%.999999d\" 1}}",
        "{{printf \"%.999999f\" 1.5}}",
        "{{printf \"%*d\" 999999 1}}",
        "{{printf \"%999999s\" \"\"}}",
    ] {
        let template = Template::parse(source).expect(source);
        assert_eq!(
            template.render(&Value::Nil),
            Err(RenderError::TooMuch),
            "{source}"
        );
    }
}

#[test]
fn deep_and_long_templates_are_refused() {
    for source in [
        "{{if 1}}".repeat(1_000),
        "(".repeat(9),
        alloc::format!("{{{{{}", "(".repeat(5_000)),
        alloc::format!("{{{{{}1{}}}}}", "(".repeat(5_000), ")".repeat(5_000)),
        alloc::format!("{{{{if 1}}}}{}{{{{end}}}}", "{{else if 1}}".repeat(2_000)),
        "{{$a := 1}}".repeat(200),
        "{{1}}".repeat(20_000),
    ] {
        let is_text = !source.contains("{{");
        assert_eq!(Template::parse(&source).is_ok(), is_text);
    }
}

#[test]
fn a_mistake_is_told_with_its_line() {
    let error = Template::parse("a\nb {{ .X }}\n{{ upper .X }}").expect_err("no such function");
    assert_eq!(
        alloc::string::ToString::to_string(&error),
        "line 3: a function that does not exist at \"upper\""
    );
}

#[test]
fn a_character_that_was_cut_is_replaced() {
    let template = Template::parse("{{slice \"\u{e9}\" 0 1}}").expect("a template");
    assert_eq!(template.render(&Value::Nil).as_deref(), Ok("\u{fffd}"));
}
