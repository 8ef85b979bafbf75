use super::Form;

fn form(fields: &[(&str, &str)]) -> Form {
    let fields = fields.iter();
    Form::new(
        fields
            .map(|(name, value)| (String::from(*name), String::from(*value)))
            .collect(),
    )
}

#[test]
fn fields_are_found_by_their_names() {
    let form = form(&[("a", "1"), ("b", ""), ("a", "2"), ("A", "3"), ("", "4")]);
    assert_eq!(form.get("a"), Some("1"));
    assert_eq!(form.get("b"), Some(""));
    assert_eq!(form.get("A"), Some("3"), "names have a case");
    assert_eq!(form.get(""), Some("4"));
    assert_eq!(form.get("c"), None);
    assert_eq!(form.get_all("a").collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!(form.get_all("c").next(), None);
    assert_eq!((form.len(), form.is_empty()), (5, false));
    assert!(Form::new(Vec::new()).is_empty());
    assert_eq!(form.iter().nth(3), Some(("A", "3")));
    assert_eq!(form.into_iter().count(), 5);
}

#[test]
fn a_field_that_is_missing_or_invalid_is_a_400_that_names_it() {
    let form = form(&[
        ("n", " 255 "),
        ("big", "256"),
        ("empty", ""),
        ("text", "x\r\ny"),
    ]);
    assert_eq!(form.required("n").unwrap(), " 255 ");
    assert_eq!(form.required("empty").unwrap(), "");
    assert_eq!(form.parse::<u8>("n").unwrap(), 255);
    assert_eq!(form.parse::<u16>("big").unwrap(), 256);
    let table = [
        ("no\n", "the field \"no\\n\" is missing"),
        ("big", "the field \"big\" is not valid"),
        ("empty", "the field \"empty\" is not valid"),
        ("text", "the field \"text\" is not valid"),
    ];
    for (name, text) in table {
        let error = form.parse::<u8>(name).unwrap_err();
        assert_eq!(error.status(), 400);
        assert_eq!(error.to_string(), text);
    }
    assert_eq!(form.required("no").unwrap_err().status(), 400);
}
